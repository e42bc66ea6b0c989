"""Answers who it is, like the reference worker: a WSGI application."""

import json
import os


def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    who = {"instance": None, "pid": os.getpid(), "version": "1.0.0", "release": "gunicorn"}
    body = json.dumps(who, separators=(",", ":")).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
