"""The collector as a process and a hub that keeps what is not acked, over a real broker."""

import json
import os
import queue
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hostkit.contract.codec import ACK, decode
from hostkit.contract.messages import Ack
from hostkit.io.mqtt import INBOX_ITEMS, Arrived, Client, Inbox, Up, parse_url, take
from tests.cli.command import COMMAND, ROOT
from tests.collector.shop import Post

RESEND_S = 1.0
WINDOW = 20


class CollectorProcess:
    """`footfall collector run` with its data in a folder."""

    def __init__(self, broker: str, data: Path, *, clock: str = "batch", prefix: Sequence[str] = ()) -> None:
        self.data = data
        self._broker, self._clock, self._prefix = broker, clock, prefix
        self.log = data.with_suffix(".log")
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [*self._prefix, *COMMAND, "collector", "run", "--broker", self._broker, "--data", str(self.data),
                 "--http", "127.0.0.1:0", "--clock", self._clock],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"collector: (http://127\.0\.0\.1:\d+/) \(Ctrl-C stops\)\n", line)
        assert found, (line, self.log.read_text())
        self.url = found[1]
        return process

    def kill(self) -> None:
        """SIGKILL, and start again."""
        self.process.kill()
        self.process.communicate()
        self.process = self._start()

    def stop(self) -> int:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode

    def get(self, path: str) -> object:
        """Ask the API."""
        with urllib.request.urlopen(f"{self.url}api/v1/{path}", timeout=60) as answer:
            found: object = json.load(answer)
            return found


class KeepingHub:
    """Publishes posts as a hub does: a window of rows, sent again until the collector's ack covers them."""

    def __init__(self, broker: str, posts: Sequence[Post], *, boot: str) -> None:
        self._inbox: Inbox = queue.Queue(INBOX_ITEMS)
        self._volatile = [post for post in posts if not post.topic.endswith("/visits")]
        self._rows = [post for post in posts if post.topic.endswith("/visits")]
        self._boot, self._gone, self._sent, self._progress_s = boot, 0, 0, 0.0
        site = posts[0].topic.rsplit("/", 1)[0]
        self._client = Client(
            parse_url(broker), self._inbox, name="hub", client_id="hub", subscriptions=((f"{site}/ack", 0),)
        )
        self._client.start()

    @property
    def done(self) -> bool:
        return self._gone == len(self._rows) and not self._volatile

    def turn(self) -> None:
        """Take acks, send what the window allows."""
        item = take(self._inbox, 0.02)
        if isinstance(item, Up):
            self._sent = self._gone
        if isinstance(item, Arrived):
            ack: Ack = decode(ACK, item.payload, item.topic).data
            if ack.boot == self._boot and ack.upto > self._gone:
                self._gone, self._progress_s = ack.upto, time.monotonic()
        if not self._client.connected:
            return
        if self._sent > self._gone and time.monotonic() > self._progress_s + RESEND_S:
            self._sent, self._progress_s = self._gone, time.monotonic()
        self._sent = max(self._sent, self._gone)
        for post in self._rows[self._sent : self._gone + WINDOW]:
            self._client.publish(post.topic, post.payload)
            self._sent += 1
        self._volatile = [
            post for post in self._volatile if not self._client.publish(post.topic, post.payload, retain=post.retained)
        ]

    def stop(self) -> None:
        self._client.stop(0.4)


def until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError, IndexError):
            pass
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def rows_of(posts: Sequence[Post]) -> dict[str, int]:
    """Give the visits that posts hold, and their highest revision."""
    found: dict[str, int] = {}
    for post in posts:
        if post.topic.endswith("/visits"):
            for row in msgspec.json.decode(post.payload)["data"]["rows"]:
                found[row["visit_id"]] = max(found.get(row["visit_id"], 0), row["rev"])
    return found
