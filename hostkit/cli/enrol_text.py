"""What `hub enrol` and `collector enrol` share: print codes, wait until they are used, list them. No logic."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.errors import UsageError
from hostkit.identity.access import Role
from hostkit.identity.codes import MAX_WRONG, Code
from hostkit.identity.enrolment import Enrolment
from hostkit.identity.identities import Identities
from hostkit.identity.upkeep import serve
from hostkit.io.files import write_files

POLL_S = 0.5
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the codes there, for you alone to read, instead of printing them; what takes codes takes this file.",
)


def invite(
    enrolment: Enrolment,
    nodes: Sequence[str],
    role: Role,
    valid_s: float,
    host: str,
    *,
    out: Path | None,
    as_json: bool,
) -> None:
    """Make a code for each node; print or write them to `out`. UsageError where a file is there already."""
    if out is not None and out.exists():
        raise UsageError("is there already", where=str(out), next_step="delete it or name another with --out")
    made = {node: enrolment.invite(node, role, time.time(), valid_s=valid_s, host=host) for node in nodes}
    lines = "".join(f"{node}  {one}\n" if len(made) > 1 else f"{one}\n" for node, one in made.items())
    if out is not None:
        write_files({out: lines.encode()}, private=True)
    if as_json:
        told = {node: {"file": str(out)} if out else {"invitation": str(one)} for node, one in made.items()}
        rows = [{"node": node, "role": role.value, **more} for node, more in told.items()]
        text.emit(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
        return
    if out is None:
        text.emit(lines)
    else:
        text.remark(f"{out}: codes for {', '.join(made)}; who has the file can enrol as them until they have")
    until = datetime.fromtimestamp(time.time() + valid_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    text.remark(f"each is good for one node, once, until {until}{'' if out else '; a QR code may hold the line'}")


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
