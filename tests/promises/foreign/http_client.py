"""Python's http.client: four kept-alive connections, with a pause of up to 20 ms between two requests."""

import http.client
import json
import random
import signal
import threading
import time

stopped = threading.Event()
lock = threading.Lock()
told = {"requests": 0, "errors": []}


def exchange(connection, number):
    """Sends one request and returns whether the response is right. http.client reconnects after `close`."""
    if number % 2:
        body = b"x" * random.randrange(1, 4096)
        connection.request("POST", "/echo", body)
        answer = connection.getresponse()
        return answer.status == 200 and answer.read() == body
    connection.request("GET", "/")
    answer = connection.getresponse()
    return answer.status == 200 and answer.read() != b""


def lane():
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=10)
    number = 0
    while not stopped.is_set():
        number += 1
        error = None
        try:
            if not exchange(connection, number):
                error = "a wrong answer"
        except (OSError, http.client.HTTPException) as exception:
            error = repr(exception)
            connection.close()
        with lock:
            told["requests"] += 1
            if error:
                told["errors"].append(error)
        time.sleep(random.uniform(0, 0.02))


signal.signal(signal.SIGTERM, lambda *_: stopped.set())
lanes = [threading.Thread(target=lane) for _ in range(4)]
for thread in lanes:
    thread.start()
while not stopped.is_set():
    stopped.wait(1)
for thread in lanes:
    thread.join()
print(json.dumps(told))
