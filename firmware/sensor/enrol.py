"""Enrolment by the board itself, where whoever set it up could not reach the hub: hostkit/contract/enrolment.md.

Key and request were made there or, where the way to us can be overheard, not at all: then the hub makes them. Here the
certificate is fetched, once, over TLS verified by the site's authority. The code is said to nobody else.
"""

import asyncio
import json
import socket

from .mqtt import MqttError, secured
from .pipe import readable

PATH = "/v1/enrol"
TIMEOUT_MS = 15_000
CONNECT_S = 5  # the loop stands still meanwhile; nothing is heard without a key anyway
MOST_ANSWER = 6144


async def enrol(settings, store) -> None:
    """Redeem the code and keep the certificate; OSError where that does not come about."""
    secrets = settings.secrets()
    host, port = settings.get("host"), settings.get("enrol_port")
    try:
        answer: bytes = await asyncio.wait_for_ms(_ask(host, port, secrets), TIMEOUT_MS)
    except asyncio.TimeoutError:
        raise MqttError("no answer from enrolment", "link_refused")
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        said = json.loads(body)
        granted = head.split(b" ", 2)[1] == b"200" and said["certificate"]
        what = "" if granted else str(said.get("what"))[:120]
    except (ValueError, KeyError, IndexError):
        raise MqttError("no enrolment there", "link_refused")
    if not granted:
        raise MqttError(what, "enrol_refused")
    changes = {"cert": granted, "code": "", "csr": "", "port": said["port"]}
    if said.get("key"):
        changes["key"] = said["key"]
    store.adopt(store.merged(changes))
    settings.change({"port": said["port"]})


async def _ask(host: str, port: int, secrets: dict[str, str]) -> bytes:
    """POST code and request; give the whole answer."""
    asked = {name: secrets[name] for name in ("code", "csr") if secrets[name]}  # without a request, a key comes along
    body = json.dumps(asked).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    raw = socket.socket(address[0], address[1], address[2])
    line = raw
    raw.settimeout(CONNECT_S)
    try:
        raw.connect(address[-1])
        line = secured(raw, host, {"ca": secrets["ca"], "cert": ""})
        view = memoryview(head.encode() + body)
        while view:
            count = line.write(view)
            if count:
                view = view[count:]
            else:
                await asyncio.sleep_ms(5)
        answer = b""
        while len(answer) <= MOST_ANSWER:
            data = line.read(1024)
            if data == b"":
                return answer
            if data is None:
                await readable(line)
            else:
                answer += data
        raise MqttError("a long answer", "enrol_refused")
    except ValueError as error:
        raise MqttError(str(error), "tls_refused")
    finally:
        line.close()
