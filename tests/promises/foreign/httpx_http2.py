"""Python's httpx over HTTP/2: four connections, each with one request at a time and a pause of up to 20 ms between two."""

import json
import random
import signal
import threading
import time

import httpx

stopped = threading.Event()
lock = threading.Lock()
told = {"requests": 0, "errors": [], "excused": 0}


def exchange(client, number):
    if number % 2:
        body = b"x" * random.randrange(1, 4096)
        answer = client.post("http://127.0.0.1:8080/echo", content=body)
        return answer.http_version == "HTTP/2" and answer.status_code == 200 and answer.content == body
    answer = client.get("http://127.0.0.1:8080/")
    return answer.http_version == "HTTP/2" and answer.status_code == 200


def is_excused(error):
    """After GOAWAY the library below treats the connection as closed. It gives up requests in flight and the next one.

    But the server has only refused new requests, and it answers all of these (RFC 9113 §6.8).
    https://github.com/python-hyper/h2/issues/1181, https://github.com/python-hyper/h2/issues/1199,
    https://github.com/encode/httpcore/issues/730
    """
    is_of_the_protocol = isinstance(error, (httpx.LocalProtocolError, httpx.RemoteProtocolError))
    return is_of_the_protocol and ("ConnectionState.CLOSED" in str(error) or "ConnectionTerminated" in str(error))


def converse(client):
    """Until it is stopped, or a request is lost. httpx does not close the connection then, so there is a new client."""
    number = 0
    while not stopped.is_set():
        number += 1
        error = None
        excused = False
        try:
            if not exchange(client, number):
                error = "a wrong answer"
        except Exception as exception:
            error = repr(exception)
            excused = is_excused(exception)
        with lock:
            told["requests"] += 1
            if excused:
                told["excused"] += 1
            elif error:
                told["errors"].append(error)
        if error:
            return
        time.sleep(random.uniform(0, 0.02))


def lane():
    while not stopped.is_set():
        with httpx.Client(http1=False, http2=True, timeout=10) as client:
            converse(client)


signal.signal(signal.SIGTERM, lambda *_: stopped.set())
lanes = [threading.Thread(target=lane) for _ in range(4)]
for thread in lanes:
    thread.start()
while not stopped.is_set():
    stopped.wait(1)
for thread in lanes:
    thread.join()
print(json.dumps(told))
