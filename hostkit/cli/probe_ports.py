"""`footfall probe ports`: what is plugged in, and who may use it. No logic."""

import json
from dataclasses import asdict

import click

from hostkit.cli import text
from hostkit.install.ports import find_ports, udev_rule


@click.command(
    epilog="""Examples:

    \b
      footfall probe ports
      footfall probe ports --udev-rule | sudo tee /etc/udev/rules.d/70-footfall.rules"""
)
@click.option("--udev-rule", "rule", is_flag=True, help="Print the rule that lets you use the boards' ports (Linux).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ports(*, rule: bool, as_json: bool) -> None:
    """List the serial ports, what each hangs on, and what keeps you from using it. Opens none of them."""
    if rule:
        text.emit(udev_rule())
        return
    found = find_ports()
    if as_json:
        listed = [{**asdict(port), "trouble": port.trouble} for port in found]
        text.emit(json.dumps({"ports": listed}) + "\n")
        return
    rows = [(port.path, port.usb or "–", port.bridge or "no probe's", port.product or "–") for port in found]
    if rows:
        text.table(("port", "usb", "hangs on", "says it is"), rows)
    for port in found:
        if port.trouble and port.bridge:
            text.remark(f"{port.path}: {port.trouble}")
    if not any(port.bridge for port in found):
        text.remark("ports: no board is plugged in; use a cable that carries data, another socket, or hold BOOT")
