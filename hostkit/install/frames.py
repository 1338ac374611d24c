"""The frames by which a blank board takes settings, the same over every way: parts that fit, then the last, read back.

Pure: bytes and messages in, bytes and values out.
"""

import json
from collections.abc import Iterator

import msgspec

from hostkit.core.framing import FrameKind, encode_frame
from hostkit.errors import PeerError, UsageError
from hostkit.install.board import Settings

MAX_MESSAGE_BYTES = 2000  # a board's buffer holds 2,048
_LONG = 300  # characters from which a value goes alone


class _Fault(msgspec.Struct, frozen=True):
    what: str = ""
    next_step: str = ""


class Answer(msgspec.Struct, frozen=True):
    """A board's answer to `set-config`."""

    id: str
    held: dict[str, msgspec.Raw] | None = None
    error: _Fault | None = None


def framed(text: bytes) -> bytes:
    """Give a message as the serial line carries it."""
    return b"\0" + encode_frame(FrameKind.MESSAGE, text)


def message(stream: str, data: object) -> bytes:
    """Give a message; UsageError for one that no board takes."""
    text = json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()
    if len(text) > MAX_MESSAGE_BYTES:
        raise UsageError(
            f"has {len(text)} bytes, at most {MAX_MESSAGE_BYTES}",
            where="settings",
            next_step="use certificates with ECDSA keys",
        )
    return text


def parts(settings: Settings, salt: str) -> Iterator[tuple[str, bytes]]:
    """Give (id, text) of each message that brings `settings`, in order; the last makes them whole."""
    long = [{name: value} for name, value in settings.items() if len(str(value)) > _LONG]
    rest = {name: value for name, value in settings.items() if len(str(value)) <= _LONG}
    for at, part in enumerate(long):
        yield f"p{at}", message("cmd/set-config", {"data": {"id": f"p{at}", "part": True, "settings": part}})
    yield "whole", message("cmd/set-config", {"data": {"id": "whole", "salt": salt, "settings": rest}})


def begin() -> tuple[str, bytes]:
    """Give the message before all others: what an earlier try left is forgotten."""
    return "fresh", message("cmd/set-config", {"data": {"id": "fresh", "part": True, "fresh": True, "settings": {}}})


def answer(text: bytes | msgspec.Raw, where: str) -> Answer:
    """Read an answer; PeerError for what is none."""
    try:
        return msgspec.json.decode(text, type=Answer)
    except msgspec.DecodeError as error:
        raise PeerError(
            f"answers what nobody can read ({shown(str(error))})",
            where=where,
            next_step="update its firmware: footfall probe put-app",
        ) from error


def held(told: Answer, where: str) -> dict[str, object]:
    """Give what the last answer holds; PeerError if the board refused."""
    if told.error is not None:
        raise PeerError(
            f"refuses its settings: {shown(told.error.what)}",
            where=where,
            next_step="update its firmware (footfall probe put-app), or correct what it names",
        )
    return {name: msgspec.json.decode(value) for name, value in (told.held or {}).items()}


def shown(text: str) -> str:
    """Clean what a board said, to be printed."""
    return "".join(char if char.isprintable() else "?" for char in text)[:200]
