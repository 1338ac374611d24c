"""The line between a test and the board it plays: one JSON object a line, both ways. Only the test harness knows it."""

import asyncio
import json
import os
import socket
import sys

names = {}  # what `eval` and `exec` see
handlers = {}  # verb: function of the message
_socket = None


def connect():
    """Connect to the test that started this process."""
    global _socket
    _socket = socket.socket()
    _socket.connect(socket.getaddrinfo("127.0.0.1", int(os.getenv("CONTROL")))[0][-1])
    _socket.setblocking(False)


def say(**message):
    """Tell the test."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        count = _socket.write(data)
        data = data[count or 0 :]


def ask(**message):
    """Ask the test, on a connection of its own, and wait."""
    line = socket.socket()
    line.connect(socket.getaddrinfo("127.0.0.1", int(os.getenv("QUESTIONS")))[0][-1])
    line.write(json.dumps(message).encode() + b"\n")
    answer = json.loads(line.readline())
    line.close()
    return answer


async def serve():
    """Take what the test says, for ever."""
    held = b""
    while True:
        data = _socket.read(4096)
        if data == b"":
            sys.exit(9)  # the test is gone
        held += data or b""
        while b"\n" in held:
            line, held = held.split(b"\n", 1)
            _do(json.loads(line))
        await asyncio.sleep_ms(2)


def _do(message):
    verb = message["verb"]
    if verb == "eval":
        say(answer=eval(message["code"], names))
    elif verb == "exec":
        exec(message["code"], names)
        say(answer=None)
    elif verb in handlers:  # what is on air for a board that has no ear yet is lost
        handlers[verb](message)
