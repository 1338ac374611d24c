"""A CSV of sales into the store: checked whole before a row is kept; its hours are marked to be computed anew."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hostkit.collector.rollups import site_in_force
from hostkit.collector.store import Store
from hostkit.core.rollup import Place, day_at, hours_of
from hostkit.core.sales import Sale, SaleKind
from hostkit.errors import InputError
from hostkit.model import ID_PATTERN, Provenance

SIMULATED = "simulated"  # what the simulator writes as source
REQUIRED = (
    "source", "location_id", "transaction_id", "sold_at", "kind", "gross_minor", "net_minor", "tax_minor", "currency",
    "items", "tender",
)  # fmt: skip
MAX_BYTES = 200_000_000
_EARLIEST_S, _LATEST_S = 0, 4_102_444_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file held. `new` receipts were not known; `unmatched` are of locations that are no site here."""

    rows: int
    new: int
    repeated: int
    unmatched: dict[str, int]
    days: dict[str, tuple[int, int]]  # local day as written: receipts, gross in minor units


def read_sales(path: Path) -> tuple[Sale, ...]:
    """Read the canonical columns, UTF-8 (with or without BOM) or GB18030; raises InputError with the line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is over {MAX_BYTES} bytes", where=str(path), next_step="split it by month")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), next_step="check the path") from error
    rows = csv.reader(io.StringIO(_decode(data, path), newline=""))
    header = [name.strip() for name in next(rows, [])]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(
            f"has no column {', '.join(missing)}", where=f"{path}: line 1", next_step="export the canonical columns"
        )
    return tuple(_sales(rows, header, path))


def import_sales(store: Store, tenant: str, sales: Sequence[Sale], *, dry_run: bool = False) -> Imported:
    """Keep `sales`, replacing receipts of the same name. Those of source `simulated` join simulated visits only."""
    new = 0
    if not dry_run:
        with store.writing():
            for provenance in (Provenance.LIVE, Provenance.SIMULATED):
                new += store.put_sales(tenant, provenance, [s for s in sales if _provenance(s) is provenance])
            _mark_dirty(store, tenant, sales)
    with store.reading():
        sites = {place.site for place in store.places() if place.tenant == tenant}
    names = Counter((s.source, s.location_id, s.transaction_id, s.kind) for s in sales)
    return Imported(
        rows=len(sales),
        new=new,
        repeated=sum(count - 1 for count in names.values()),
        unmatched=dict(Counter(s.location_id for s in sales if s.location_id not in sites)),
        days=_days(sales),
    )


def _mark_dirty(store: Store, tenant: str, sales: Sequence[Sale]) -> None:
    """A first receipt gives every hour of its day a figure, so whole days become dirty."""
    for location, provenance in {(s.location_id, _provenance(s)) for s in sales}:
        place = Place(tenant=tenant, site=location, provenance=provenance)
        in_force = site_in_force(store, place)
        if in_force is None:
            continue
        zone = in_force.site.time_zone
        days = {day_at(s.sold_s, zone) for s in sales if (s.location_id, _provenance(s)) == (location, provenance)}
        store.mark_dirty(place, {hour.start_s for day in days for hour in hours_of(day)})


def _days(sales: Sequence[Sale]) -> dict[str, tuple[int, int]]:
    days: dict[str, tuple[int, int]] = {}
    for sale in sales:
        day = datetime.fromtimestamp(sale.sold_s, UTC).date().isoformat()
        receipts, gross = days.get(day, (0, 0))
        days[day] = (receipts + 1, gross + sale.gross_minor)
    return dict(sorted(days.items()))


def _provenance(sale: Sale) -> Provenance:
    return Provenance.SIMULATED if sale.source == SIMULATED else Provenance.LIVE


def _decode(data: bytes, path: Path) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError("is neither UTF-8 nor GB18030", where=str(path), next_step="save it as UTF-8 CSV")


def _sales(rows: Iterator[list[str]], header: Sequence[str], path: Path) -> Iterator[Sale]:
    for number, row in enumerate(rows, start=2):
        if row:
            yield _sale(dict(zip(header, row, strict=False)), f"{path}: line {number}")


def _sale(row: dict[str, str], where: str) -> Sale:
    try:
        return Sale(
            source=_text(row, "source", r"[\w .-]{1,64}"),
            location_id=_text(row, "location_id", ID_PATTERN),
            transaction_id=_text(row, "transaction_id", r"\S.{0,63}"),
            sold_s=_sold_s(row["sold_at"]),
            kind=SaleKind(row["kind"]),
            gross_minor=_integer(row, "gross_minor"),
            net_minor=_integer(row, "net_minor"),
            tax_minor=_integer(row, "tax_minor"),
            currency=_text(row, "currency", r"[A-Z]{3}"),
            items=_integer(row, "items"),
            tender=_text(row, "tender", r".{0,32}"),
        )
    except (ValueError, KeyError) as error:
        raise InputError(str(error)[:200], where=where, next_step="correct the row") from error


def _sold_s(text: str) -> int:
    sold = datetime.fromisoformat(text.strip())
    if sold.tzinfo is None:
        raise ValueError(f"sold_at {text!a} has no offset from UTC")
    sold_s = int(sold.timestamp())
    if not _EARLIEST_S <= sold_s <= _LATEST_S:
        raise ValueError(f"sold_at {text!a} is out of range")
    return sold_s


def _text(row: dict[str, str], name: str, pattern: str) -> str:
    value = row[name].strip()
    if not re.fullmatch(pattern, value):
        raise ValueError(f"{name} {value[:40]!a} is not allowed")
    return value


def _integer(row: dict[str, str], name: str) -> int:
    text = row[name].strip()
    if not re.fullmatch(r"-?\d{1,15}", text, re.ASCII):
        raise ValueError(f"{name} {text[:40]!a} is no whole number")
    return int(text)
