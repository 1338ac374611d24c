"""Probes on serial lines: found as they are plugged in, heard like those on the broker, told what concerns them.

Everything a probe says enters the hub's inbox under the topic it would have had. A line speaks for the probe that its
batches and messages name, and for no other; the first line of a probe keeps it until it is unplugged.
"""

import threading
from collections.abc import Callable, Sequence
from queue import Full

import msgspec

from hostkit.contract.topics import parse_topic, topic
from hostkit.core.framing import FrameKind
from hostkit.core.wire import decode_batch
from hostkit.errors import InputError, PeerError
from hostkit.io.mqtt import Arrived, Client, Inbox, Item, Up
from hostkit.io.serialport import Line, matching
from hostkit.model import Site

LOOK_S = 1.0  # between looks for ports that came or went
SAID = ("state", "info", "health", "rsp/<id>")


class _Spoken(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Envelope(msgspec.Struct):
    source: str


class SerialProbes:
    """The lines and who is on them. Its threads put items into `inbox`; every other method is the hub's thread's."""

    def __init__(self, patterns: Sequence[str], site: Site, inbox: Inbox, say: Callable[[str], None]) -> None:
        self._patterns, self._site, self._inbox, self._say = tuple(patterns), site, inbox, say
        self._ids = {probe.id for probe in site.probes}
        self._lines: dict[str, Line] = {}  # by path
        self._owner: dict[str, Line] = {}  # by probe
        self._rivals: set[tuple[str, str]] = set()  # (path, probe) of lines that say they are another's probe
        self._refused: dict[str, str] = {}  # path: what was said of it
        self._lock = threading.Lock()  # over _owner and _counts
        self._counts = dict.fromkeys(("frames", "damaged", "refused", "foreign", "inbox_full", "unread"), 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="serial ports", daemon=True)

    def start(self) -> None:
        """Look for ports from now on."""
        if self._patterns:
            self._thread.start()

    def stop(self) -> None:
        """Close every line."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(3.0)
        for line in self._lines.values():
            line.close()

    @property
    def counters(self) -> dict[str, int]:
        """Lines open, probes known on them, frames taken."""
        with self._lock:
            owners, frames = len(self._owner), self._counts["frames"]
        if not self._patterns:
            return {}
        return {"serial_lines": len(self._lines), "serial_probes": owners, "serial_frames": frames}

    @property
    def drops(self) -> dict[str, int]:
        """Frames lost on lines, by why."""
        if not self._patterns:
            return {}
        lines = list(self._lines.values())
        with self._lock:
            counts = dict(self._counts)
        counts["damaged"] += sum(line.damaged for line in lines)
        counts["unread"] += sum(line.sent_too_much for line in lines)
        return {f"serial_{name}": count for name, count in counts.items() if name != "frames"}

    def send(self, probe: str, stream: str, payload: bytes | bytearray) -> bool | None:
        """Tell a probe; None if it is on no line, False if it does not read."""
        with self._lock:
            line = self._owner.get(probe)
        if line is None:
            return None
        return line.send(FrameKind.MESSAGE, b"".join((b'{"stream":"', stream.encode(), b'","data":', payload, b"}")))

    # -- the ports --

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S if self._lines or self._refused else 0.1):
            for path, line in list(self._lines.items()):
                if line.gone.is_set():
                    del self._lines[path]
                    self._left(line)
            here = matching(self._patterns)
            self._refused = {path: said for path, said in self._refused.items() if path in here}
            for path in here:
                if path not in self._lines:
                    self._open(path)

    def _open(self, path: str) -> None:
        try:
            self._lines[path] = Line(path, self._took)
        except PeerError as error:
            if self._refused.get(path) != str(error):
                self._say(str(error))
            self._refused[path] = str(error)
            return
        self._refused.pop(path, None)
        self._say(f"{path}: open")

    def _left(self, line: Line) -> None:
        with self._lock:
            gone = [probe for probe, owner in self._owner.items() if owner is line]
            for probe in gone:
                del self._owner[probe]
            self._counts["damaged"] += line.damaged
            self._counts["unread"] += line.sent_too_much
        self._say(f"{line.path}: unplugged{''.join(f', {probe} is offline' for probe in gone)}")
        for probe in gone:
            self._put(self._arrived(line, probe, "state", b"offline"))

    # -- what comes in: called by the lines' threads --

    def _took(self, line: Line, kind: FrameKind, payload: bytes) -> None:
        self._count("frames")
        try:
            probe, stream, data = _read(kind, payload)
        except (InputError, PeerError, msgspec.MsgspecError, UnicodeDecodeError):
            self._count("refused")
            return
        if probe is None:  # `state` does not say whose
            probe = next((name for name, owner in list(self._owner.items()) if owner is line), None)
            if probe is None:
                return  # `info` follows, and says it
        if not self._speaks_for(line, probe):
            self._count("foreign")
            return
        self._put(self._arrived(line, probe, stream, data))

    def _speaks_for(self, line: Line, probe: str) -> bool:
        if probe not in self._ids:
            return False
        with self._lock:
            is_new = probe not in self._owner
            owner = self._owner.setdefault(probe, line)
            is_rival = owner is not line and (line.path, probe) not in self._rivals
            if is_rival:
                self._rivals.add((line.path, probe))
        if is_new:  # a line says nothing of its own state
            self._put(Up(link=f"{line.path} ({probe})", session=False))
            self._put(self._arrived(line, probe, "state", b"online"))
        if is_rival:
            self._say(f"{line.path}: says it is {probe}, which is on {owner.path}; next: give one of them another id")
        return owner is line

    def _arrived(self, line: Line, probe: str, stream: str, payload: bytes) -> Arrived:
        return Arrived(
            link=line.path,
            topic=topic(self._site.tenant, self._site.site, probe, stream),
            payload=payload,
            qos=0,
            retained=False,
            duplicate=False,
            mid=0,
            connection=0,
        )

    def _put(self, item: Item) -> None:
        try:
            self._inbox.put_nowait(item)
        except Full:
            self._count("inbox_full")  # a batch comes again: it is not acked

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1


class Near:
    """The way to the probes: the line a probe is on, else the site broker."""

    def __init__(self, client: Client, serial: SerialProbes) -> None:
        self._client, self._serial = client, serial

    @property
    def connected(self) -> bool:
        """The broker is there; lines come and go by themselves."""
        return self._client.connected

    def publish(self, name: str, payload: bytes | bytearray, *, qos: int = 1, retain: bool = False) -> bool:
        """Send; False, counted where it was refused."""
        *_, probe, stream = name.split("/", 5)
        told = self._serial.send(probe, stream, payload)
        return self._client.publish(name, payload, qos=qos, retain=retain) is not None if told is None else told


def _read(kind: FrameKind, payload: bytes) -> tuple[str | None, str, bytes]:
    """Give whose frame it is, its stream and payload as on MQTT. Raises for what is neither batch nor message."""
    if kind is FrameKind.BATCH:
        return decode_batch(payload, origin="serial line").probe, "obs", payload
    spoken = msgspec.json.decode(payload, type=_Spoken)
    address = parse_topic(f"footfall/v1/t/s/n/{spoken.stream}")
    if address.stream not in SAID:
        raise PeerError(f"no probe says {spoken.stream}", where="serial line", next_step="update the probe")
    data = bytes(spoken.data)
    if address.stream == "state":
        return None, "state", msgspec.json.decode(data, type=str).encode()
    return msgspec.json.decode(data, type=_Envelope).source.rsplit("/", 1)[-1], spoken.stream, data
