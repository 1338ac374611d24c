"""A calibration on its way, in a terminal and on a phone page at once. No figure of its own."""

import re
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from hostkit.cli import text
from hostkit.errors import InputError, UsageError
from hostkit.field.courses import Course, course_of
from hostkit.field.diary import diary, read_head, taken_of
from hostkit.field.ground import ground_of
from hostkit.field.hearing import HubHearing, Reference
from hostkit.field.phone import PhonePage, StandsView, View
from hostkit.field.session import END, NEXT, UNDO, Session
from hostkit.field.trial import Trial
from hostkit.field.words import Language, say
from hostkit.hub.ask import Envoy, node_of
from hostkit.io.journal import read_lines
from hostkit.io.webserver import Listen, WebServer, parse_listen
from hostkit.model import Radio, Site

P = ParamSpec("P")
R = TypeVar("R")
http_option = click.option(
    "--http",
    metavar="HOST:PORT",
    help="Serve the page to phones, as on 0.0.0.0:8090; port 0: any.  [default: to this computer]",
)
BEACON = r"[a-z0-9-]{1,32}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How probes are reached, what is carried, and where the phone page is served."""

    broker: str
    beacon: str
    channel: int
    radio: str
    seconds: int
    http: str | None


def live_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options of Live, as one argument `live`."""
    options = (
        click.option(
            "--broker", default="mqtt://127.0.0.1:1883", show_default=True, metavar="URL", help="Site broker."
        ),
        click.option(
            "--beacon",
            default="footfall-cal",
            show_default=True,
            metavar="NAME",
            help="Hidden network the phone looks for, or BLE name of the tag.",
        ),
        click.option(
            "--channel",
            type=click.IntRange(1, 177),
            default=6,
            show_default=True,
            help="Wi-Fi channel to hear the phone on.",
        ),
        click.option(
            "--radio",
            type=click.Choice([one.value for one in Radio]),
            default=Radio.WIFI.value,
            show_default=True,
            help="Which one it sends on.",
        ),
        click.option(
            "--seconds", type=click.IntRange(1, 300), default=10, show_default=True, help="To listen at each stand."
        ),
        http_option,
    )

    @wraps(command)
    def gathered(*args: P.args, **kwargs: P.kwargs) -> R:
        names = ("broker", "beacon", "channel", "radio", "seconds", "http")
        kwargs["live"] = Live(**{name: kwargs.pop(name) for name in names})  # type: ignore[arg-type]
        return command(*args, **kwargs)

    wrapped: Callable[P, R] = gathered
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def gathered(site_path: Path, site: Site, live: Live, course: Course, language: Language) -> Trial:
    """Guide somebody through the course until they end it; an earlier run that crashed goes on.

    InputError where nothing was heard at all.
    """
    if re.fullmatch(BEACON, live.beacon) is None:
        step = "name network or tag with 1 to 32 of a-z, 0-9 and -"
        raise UsageError(f"{live.beacon!a} is no name that probes can look for", where="--beacon", next_step=step)
    envoy = Envoy(
        broker=live.broker, tenant=site.tenant, site=site.site, at=datetime.now(UTC), node=node_of(live.broker)
    )
    reference = Reference(name=live.beacon, channel=live.channel, radio=Radio(live.radio), seconds=live.seconds)
    if live.http is not None:
        parse_listen(live.http)
    with diary(site_path, course) as kept:
        if kept.taken:
            text.remark(f"{kept.path}: {say('goes_on', language, str(len(kept.taken)))}")
        else:
            text.remark(f"{kept.path}: {say('is_kept', language)}")
        session = Session(course, HubHearing(envoy, reference), language, lambda line: _tell(session, line), kept)
        trial = _guided(session, live)
    if trial is None:
        kept.path.unlink(missing_ok=True)
        step = "go to the first point with tag or phone on"
        raise InputError("nothing was measured", where=live.beacon, next_step=step)
    return trial


def recalled(path: Path, site: Site, kind: str, floor: str | None = None) -> Trial:
    """Try what a session kept. InputError for a file of another kind, or of a site that was changed since."""
    lines = read_lines(path)
    head = read_head(path, lines)
    if head.kind != kind:
        step = f"footfall calibrate {head.kind} --from {path}"
        raise InputError(f"is of calibrate {head.kind}", where=str(path), next_step=step)
    course = course_of(head, site, lambda: ground_of(site, floor))
    if course.head != head:
        step = "give the site.toml it was begun with, or measure again"
        raise InputError("has other probes or zones than site.toml", where=str(path), next_step=step)
    taken = taken_of(path, lines, course)
    if not taken:
        raise InputError("no stand is in it", where=str(path), next_step=f"go on with footfall calibrate {kind}")
    return replace(course.trial(taken), source=str(path))


def _guided(session: Session, live: Live) -> Trial | None:
    course, language = session.course, session.language
    server = served(StandsView(session), live.http)
    text.remark(f"{say(course.kind, language)}: {say(f'guide_{course.kind}', language)}")
    _prompt(session)
    threading.Thread(target=_keyboard, args=(session, live.http is not None), daemon=True).start()
    try:
        return session.run()
    finally:
        session.over()
        server.stop()


def served(view: View, http: str | None) -> WebServer:
    """Serve the page with table and plot and say where: to phones at `http`, else to this computer's browser."""
    listen = parse_listen(http or "127.0.0.1:0")
    page, server = PhonePage(view), WebServer(listen)
    server.start(page.application())
    url = server.url.replace("//0.0.0.0:", f"//{_own_address(listen)}:").rstrip("/")
    text.remark(f"{say('phone_page' if http else 'here_page', view.language)}: {url}{page.path}")
    return server


def _own_address(listen: Listen) -> str:
    """This computer's address in the network; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:
            return listen.host


def _keyboard(session: Session, page: bool) -> None:
    """Turn lines into orders; the end of input is the end, unless a phone goes on."""
    for line in sys.stdin:
        order = _order(session, line.strip())
        if order is None:
            text.remark(say("no_stand", session.language, line.strip()[:40] or "–"))
        elif not session.give(order) or order == END:
            break
    else:
        if not page:
            session.give(END)


def _order(session: Session, word: str) -> int | str | None:
    if word.lower() in {"q", "u"}:
        return END if word.lower() == "q" else UNDO
    if not word:
        return NEXT
    labels = [stand.label for stand in session.course.stands]
    if word in labels:
        return labels.index(word)
    return int(word) - 1 if word.isdecimal() and 1 <= int(word) <= len(labels) else None


def _tell(session: Session, line: str) -> None:
    text.remark(line)
    _prompt(session)


def _prompt(session: Session) -> None:
    at = session.next
    if at is None:
        text.remark(say("all_taken", session.language))
    else:
        text.remark(say("keys", session.language, session.course.stands[at].label))
