"""The till: what buyers pay, as rows of the canonical sales table. Knows nothing of phones."""

from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from hostkit.sim.world import Simulation

_TAX = 0.19  # Germany's standard rate; prices include it
_ITEM_MINOR = (2990.0, 0.6)  # price of one item in cents: log-normal median and log sd
_CARD_SHARE = 0.72


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One receipt; amounts in minor units of `currency`."""

    source: str
    location_id: str
    transaction_id: str
    sold_at: str  # ISO 8601 with offset
    kind: str
    gross_minor: int
    net_minor: int
    tax_minor: int
    currency: str
    items: int
    tender: str
    staff: str = ""
    customer_ref: str = ""


SALE_COLUMNS = tuple(column.name for column in fields(Sale))


def sales(simulation: Simulation) -> tuple[Sale, ...]:
    """Ring up every buyer, in order of time."""
    settings = simulation.settings
    rng = np.random.default_rng([settings.seed, 8])
    paid_s = sorted(person.purchase_s for person in simulation.people if person.purchase_s is not None)
    start = datetime.fromtimestamp(settings.start_us / 1e6, ZoneInfo(settings.site.time_zone))
    receipts = []
    for number, at_s in enumerate(paid_s, start=1):
        items = 1 + int(rng.poisson(0.9))
        gross = int(np.rint(_ITEM_MINOR[0] * np.exp(_ITEM_MINOR[1] * rng.standard_normal(items)).sum()))
        net = round(gross / (1.0 + _TAX))
        receipts.append(
            Sale(
                source="simulated",
                location_id=settings.site.site,
                transaction_id=f"R{number:06d}",
                sold_at=_local(start, at_s),
                kind="sale",
                gross_minor=gross,
                net_minor=net,
                tax_minor=gross - net,
                currency="EUR",
                items=items,
                tender="card" if rng.random() < _CARD_SHARE else "cash",
            )
        )
    return tuple(receipts)


def row(sale: Sale) -> tuple[object, ...]:
    """Give a sale's values in the order of SALE_COLUMNS."""
    return astuple(sale)


def _local(start: datetime, after_s: float) -> str:
    """Give local time with offset; added in UTC, so that a clock change on the way is honoured."""
    instant = start.astimezone(ZoneInfo("UTC")) + timedelta(seconds=int(after_s))
    return instant.astimezone(start.tzinfo).isoformat(timespec="seconds")
