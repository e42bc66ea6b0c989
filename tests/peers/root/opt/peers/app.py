"""Answers who it is, like the reference worker: a WSGI application."""

import json
import os


def application(environ, start_response):
    who = {"instance": None, "pid": os.getpid(), "version": "1.0.0", "release": "gunicorn"}
    body = json.dumps(who, separators=(",", ":")).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
