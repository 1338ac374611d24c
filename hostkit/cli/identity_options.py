"""Options and lines that several commands about identities share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.errors import UsageError
from hostkit.identity.authority import Issued
from hostkit.identity.broker import HINT, let_go, reload_broker
from hostkit.identity.identities import Identities

DAY_S = 86_400

hub_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("footfall-hub"),
    show_default=True,
    metavar="DIR",
    help="The hub's folder; the authority is in DIR/identity.",
)
hosts_option = click.option(
    "--host", "hosts", multiple=True, required=True, help="Name or address of the broker; may be repeated."
)
port_option = click.option(
    "--port", default=8883, show_default=True, type=click.IntRange(1, 65_535), help="Port of the broker."
)
enrol_port_option = click.option(
    "--enrol-port",
    default=0,
    type=click.IntRange(0, 65_535),
    help="Port of enrolment.  [default: two above the broker's]",
)
days_option = click.option(
    "--days",
    default=825,
    show_default=True,
    type=click.IntRange(1, 825),
    help="Life of a certificate; it is renewed when a third is left.",
)
valid_option = click.option(
    "--valid",
    "valid_s",
    default="1d",
    show_default=True,
    callback=lambda _context, _option, value: seconds(value),
    help="How long the code can be used: 15m, 8h, 7d.",
)


def seconds(written: str) -> float:
    """Read `15m`, `8h` or `7d`; raises UsageError."""
    units = {"m": 60, "h": 3600, "d": DAY_S}
    number, unit = written[:-1], written[-1:]
    if unit not in units or not number.isascii() or not number.isdecimal() or len(number) > 4:
        raise UsageError(f"{written[:20]!a} is no time span", where="--valid", next_step="write 15m, 8h or 7d")
    return float(int(number) * units[unit])


def say_reload(identities: Identities) -> None:
    """Tell the broker, or tell the person to."""
    told = reload_broker(identities.broker_files.pid)
    text.remark("broker: has read its list again" if told else f"broker: not running here under this user; {HINT}")


def shut_out(identities: Identities, node: str, identity: str, gone: int, now_s: float) -> None:
    """Say what a revocation did; end the connection the node may have."""
    text.remark(f"{node}: {gone} certificates revoked")
    say_reload(identities)
    ended = let_go(identities.register, identity, now_s)
    text.remark(
        f"{node}: its connection and session are ended"
        if ended
        else f"{node}: the broker was not reached; if it is connected, it stays so until the broker restarts"
    )


def list_issued(issued: Sequence[Issued], now_s: float, *, as_json: bool) -> None:
    """Print what became of each certificate and how long it lives; say which need somebody."""
    if as_json:
        text.emit(msgspec.json.format(msgspec.json.encode(issued)).decode() + "\n")
        return
    newest = {one.identity: one for one in issued}
    rows = [(one.identity, one.role, *_state(one, newest[one.identity], now_s)) for one in issued]
    text.table(("identity", "role", "until", "state"), rows)
    for one in newest.values():
        if one.due(now_s):
            left = max(0, one.until_s - now_s) / DAY_S
            text.remark(
                f"{one.identity}: {left:.0f} days left; it renews itself while its node and this service run, "
                "else enrol it anew"
            )


def _state(one: Issued, newest: Issued, now_s: float) -> tuple[str, str]:
    until = datetime.fromtimestamp(one.until_s, UTC).date().isoformat()
    if one.revoked_s is not None:
        return until, "revoked"
    if one.until_s <= now_s:
        return until, "expired"
    renewed = ", renewed since" if one is not newest else ""
    return until, f"{(one.until_s - now_s) / DAY_S:.0f} days left{renewed}"
