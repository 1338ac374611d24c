"""`footfall watch`: topics of a broker, a readable line for each message."""

import secrets
import sys
import time
from queue import Queue

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.cli.watch_text import clean, json_line, line, seen
from hostkit.contract.topics import ROOT
from hostkit.errors import PeerError
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Up, parse_url, take

EVERYTHING = f"{ROOT}/#"
DEFAULT_BROKER = "mqtt://127.0.0.1:1883"
_FIRST_CONNECT_S = 10.0


@click.command(
    epilog="""Examples:

    \b
      footfall watch --broker mqtt://127.0.0.1:1883
      footfall watch 'footfall/v1/+/+/hub/live' 'footfall/v1/+/+/+/state'
      footfall watch --json --count 100 > messages.jsonl

    \b
    Exit codes: 0 done, 2 wrong option, 4 plain connection to another machine, 6 no broker, 130 stopped by you."""
)
@click.argument("topics", nargs=-1, metavar="[TOPIC]...")
@click.option("--broker", metavar="URL", default=DEFAULT_BROKER, show_default=True, help="Where to listen.")
@json_option
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
def watch(*, topics: tuple[str, ...], broker: str, as_json: bool, count: int | None) -> None:
    """Read topics as a person would: time (UTC), provenance, who, and the figures that matter. Shows no keys."""
    inbox: Inbox = Queue(10_000)
    wanted = tuple((topic, 1) for topic in topics or (EVERYTHING,))
    _check(wanted)
    client = Client(
        parse_url(broker), inbox, name="watch", client_id=f"watch-{secrets.token_hex(8)}", subscriptions=wanted
    )
    client.start()
    try:
        _follow(client, inbox, as_json=as_json, count=count)
    finally:
        client.stop()


def _check(wanted: tuple[tuple[str, int], ...]) -> None:
    for topic, _ in wanted:
        levels = topic.split("/")
        wild = any(("#" in level or "+" in level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
        if wild or not topic or len(topic.encode()) > 65_535 or not topic.isprintable():
            raise click.UsageError(
                f"{clean(topic)!a} is no topic filter; + stands for one level, # at the end for the rest"
            )


def _follow(client: Client, inbox: Inbox, *, as_json: bool, count: int | None) -> None:
    colour = not as_json and sys.stdout.isatty()
    give_up: float | None = time.monotonic() + _FIRST_CONNECT_S
    reason, shown = "no answer", 0
    while count is None or shown < count:
        item = take(inbox, 0.2)
        if isinstance(item, Arrived):
            client.ack(item)
            one = seen(item.topic, item.payload)
            text.emit(json_line(item.topic, one) if as_json else line(one, colour=colour))
            shown += 1
        elif isinstance(item, Up):
            give_up = None
        elif isinstance(item, Down):
            reason = item.reason
            text.remark(f"{client.url}: not connected ({reason}); trying again")
        if give_up is not None and time.monotonic() > give_up:
            raise PeerError(
                f"cannot be reached ({reason})", where=str(client.url), next_step="start the broker, check the address"
            )
