"""What `hub enrol` and `collector enrol` share: print codes, wait until they are used, list them. No logic."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import msgspec

from hostkit.cli import text
from hostkit.identity.access import Role
from hostkit.identity.codes import MAX_WRONG, Code
from hostkit.identity.enrolment import Enrolment
from hostkit.identity.identities import Identities
from hostkit.identity.upkeep import serve

POLL_S = 0.5


def invite(enrolment: Enrolment, nodes: Sequence[str], role: Role, valid_s: float, host: str, *, as_json: bool) -> None:
    """Make a code for each node and print them."""
    made = {node: enrolment.invite(node, role, time.time(), valid_s=valid_s, host=host) for node in nodes}
    if as_json:
        rows = [{"node": node, "role": role.value, "invitation": str(one)} for node, one in made.items()]
        text.emit(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
        return
    for node, one in made.items():
        text.emit(f"{node}  {one}\n" if len(made) > 1 else f"{one}\n")
    until = datetime.fromtimestamp(time.time() + valid_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    text.remark(f"each is good for one node, once, until {until}; the line is also what a QR code holds")


def wait(identities: Identities, enrolment: Enrolment) -> None:
    """Serve the enrolment port until no code is open."""
    endpoint = serve(identities, enrolment, text.remark)
    text.remark(f"enrol: port {endpoint.port} is open until every code is used or over; Ctrl-C shuts it before")
    try:
        while any(one.open(time.time()) for one in enrolment.codes()):
            time.sleep(POLL_S)
    finally:
        endpoint.stop()


def say_who_serves(identities: Identities, command: str) -> None:
    """Say who answers when a code is used."""
    port = identities.register.read().served.enrol_port
    text.remark(f"enrol: port {port} answers while `footfall {command} run` runs; without it add --wait")


def list_codes(codes: Sequence[Code], *, as_json: bool) -> None:
    """Print what became of each code; never the code."""
    if as_json:
        rows = [{name: value for name, value in asdict(one).items() if name != "digest"} for one in codes]
        text.emit(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
        return
    now_s = time.time()
    text.table(("identity", "role", "state"), [(one.identity, one.role, _state(one, now_s)) for one in codes])


def _state(one: Code, now_s: float) -> str:
    if one.used_s is not None:
        return f"used {datetime.fromtimestamp(one.used_s, UTC).astimezone():%Y-%m-%d %H:%M}"
    if one.wrong >= MAX_WRONG:
        return f"void after {one.wrong} wrong tries"
    if now_s >= one.until_s:
        return "over, never used"
    return f"open for {text.duration(one.until_s - now_s)}" + (f", {one.wrong} wrong tries" if one.wrong else "")
