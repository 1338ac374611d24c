"""`footfall collector`: the cloud side as a service, and sales into it. No logic."""

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from hostkit.cli import collector_identity, text
from hostkit.cli.options import json_option
from hostkit.collector.clock import ClockKind
from hostkit.collector.run import CollectorSettings, run_collector
from hostkit.collector.sales import Imported, import_sales, read_sales
from hostkit.errors import UsageError
from hostkit.io.memory import guard_process
from hostkit.io.mqtt import parse_url
from hostkit.io.store_sqlite import FILE, SqliteStore
from hostkit.io.webserver import parse_listen

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default="collector-data",
    show_default=True,
    help="Folder of the database.",
)


@click.group()
def collector() -> None:
    """Take visits from hubs, keep them, and show the figures they give."""
    guard_process()


for _command in (
    collector_identity.init, collector_identity.enrol, collector_identity.revoke, collector_identity.identities
):  # fmt: skip
    collector.add_command(_command)


@collector.command(
    epilog="""Examples:

    \b
      footfall collector run
      footfall collector run --data /srv/footfall --broker "mqtts://broker.example:8883?ca=ca.pem"

    \b
    Exit codes: 0 stopped by you, 2 wrong option, 4 TLS files that cannot be used or a plain connection to another
    machine, 5 database cannot be used, 6 port in use. A broker that is away is waited for."""
)
@click.option("--broker", default="mqtt://127.0.0.1:1883", show_default=True, metavar="URL", help="Broker of the hubs.")
@DATA
@click.option(
    "--http",
    "listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Page and API; port 0: a free one.",
)
@click.option(
    "--clock",
    type=click.Choice([kind.value for kind in ClockKind]),
    default=ClockKind.WALL.value,
    show_default=True,
    help="batch: the time of the messages, for demo and replay.",
)
def run(*, broker: str, data: Path, listen: str, clock: str) -> None:
    """Run the collector: messages into the database, figures onto a page at --http, acknowledgements to the hubs."""
    settings = CollectorSettings(
        broker=parse_url(broker), folder=data, listen=parse_listen(listen), clock=ClockKind(clock)
    )
    run_collector(settings, say=lambda line: text.emit(line + "\n"), remark=text.remark)


@collector.command(
    name="import-sales",
    epilog="""Example:

    \b
      footfall collector import-sales --tenant acme --dry-run sales.csv""",
)
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--tenant", required=True, help="Chain the shops belong to.")
@DATA
@click.option("--dry-run", is_flag=True, help="Only report what the file holds.")
@json_option
def import_sales_command(*, file: Path, tenant: str, data: Path, dry_run: bool, as_json: bool) -> None:
    """Import receipts from a CSV with the canonical columns; imported again, a receipt replaces itself.

    The collector may be running meanwhile; it computes the days anew. Clerks and customers are not kept.
    """
    sales = read_sales(file)
    if not (data / FILE).is_file():
        raise UsageError("holds no collector's database", where=str(data), next_step="give the --data of the collector")
    with closing(SqliteStore(data)) as store:
        done = import_sales(store, tenant, sales, dry_run=dry_run)
    if as_json:
        text.emit(json.dumps(asdict(done)) + "\n")
    else:
        _print(done, dry_run=dry_run)


def _print(done: Imported, *, dry_run: bool) -> None:
    rows = [(day, str(count), text.number(gross), "") for day, (count, gross) in done.days.items()]
    text.table(("day (UTC)", "receipts", "gross, minor units", ""), rows)
    kept = "nothing kept (dry run)" if dry_run else f"{done.new} new"
    text.emit(f"\n{done.rows} receipts, {done.repeated} repeated within the file, {kept}\n")
    for location, count in done.unmatched.items():
        text.remark(f"{location}: {count} receipts of a shop not seen yet; check location_id, or start its hub")
