"""What commands over the probes of a site print: one line a probe, with what to try where one fails. No logic."""

from collections.abc import Sequence

from rich.table import Table

from hostkit.cli import text
from hostkit.contract.probes import ProbeStatus, Step, Verdict
from hostkit.install.frames import shown

LISTED = ("probe", "", "state", "uplink", "build", "key", "heard", "frames/s", "next")
WATCHED = ("probe", "", "Wi-Fi/s", "BLE/s", "radio/s", "RSSI", "channels", "heap KiB", "block KiB", "drops")
STEPS = {
    Step.CONNECTED: "not connected: power, network?",
    Step.ALONE: "two boards say they are it",
    Step.KEY: "no key yet: see the hub's log",
    Step.CONFIG: "not configured yet: restart it",
    Step.DELIVERS: "silent: see its log (read-log)",
    Step.WIFI: "no Wi-Fi: antenna, channels?",
}
_STYLES = {Verdict.PASS: "green", Verdict.WAIT: "yellow", Verdict.FAIL: "red"}


def listed(row: ProbeStatus) -> tuple[str, ...]:
    """Give the cells of `LISTED`."""
    why = "" if row.step is None else STEPS[row.step]
    if row.config_refused is not None:
        why = f"refuses its configuration: {shown(row.config_refused)}"
    state = row.state.value if row.state else "never seen"
    return (
        row.id,
        row.verdict.value,
        state,
        row.uplink or "–",
        shown(row.firmware or "–"),
        "yes" if row.key_held else "no",
        _ago(row.heard_s),
        f"{row.wifi_per_s + row.ble_per_s:.1f}",
        why,
    )


def watched(row: ProbeStatus) -> tuple[str, ...]:
    """Give the cells of `WATCHED`."""
    memory = row.memory
    return (
        row.id,
        row.verdict.value,
        f"{row.wifi_per_s:.1f}",
        f"{row.ble_per_s:.1f}",
        f"{row.offered_per_s:.1f}",
        "–" if row.rssi_dbm is None else f"{row.rssi_dbm:.0f}",
        ",".join(map(str, row.channels)) or "–",
        "–" if memory is None else f"{memory.free_bytes / 1024:.0f}",
        "–" if memory is None else f"{memory.largest_block_bytes / 1024:.0f}",
        ", ".join(f"{name} {count}" for name, count in sorted(row.drops.items())) or "none",
    )


def grid(rows: Sequence[ProbeStatus]) -> Table:
    """Draw `WATCHED` for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(WATCHED):
        table.add_column(name, justify="right" if 2 <= at <= 8 and name != "channels" else "left", no_wrap=at < 9)
    for row in rows:
        table.add_row(*watched(row), style=_STYLES[row.verdict])
    return table


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{text.duration(seconds)} ago"
