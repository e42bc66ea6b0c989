// Node's fetch: four requests at once, on kept-alive connections, with a pause of up to 20 ms between two requests.

import { setTimeout as pause } from "node:timers/promises";

const told = { requests: 0, errors: [] };
let stopped = false;
process.on("SIGTERM", () => (stopped = true));

async function exchange(number) {
  if (number % 2) {
    const body = "x".repeat(1 + Math.random() * 4096);
    const answer = await fetch("http://127.0.0.1:8080/echo", { method: "POST", body });
    return answer.status === 200 && (await answer.text()) === body;
  }
  const answer = await fetch("http://127.0.0.1:8080/");
  return answer.status === 200 && (await answer.text()) !== "";
}

async function lane() {
  for (let number = 1; !stopped; number++) {
    try {
      if (!(await exchange(number))) told.errors.push("a wrong answer");
    } catch (error) {
      told.errors.push(`${error}: ${error.cause?.code} ${error.cause}`);
    }
    told.requests++;
    await pause(Math.random() * 20);
  }
}

await Promise.all([lane(), lane(), lane(), lane()]);
console.log(JSON.stringify(told));
process.exit();
