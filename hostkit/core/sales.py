"""Sales as imported and the figures that need them. Knows no customer and no clerk: neither is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hostkit.core.count import undefined
from hostkit.core.kpi import Kpi
from hostkit.model import Coverage, Estimate

METHOD = "imported"
NO_SALES = "no sales linked, or none delivered for the bucket"


class SaleKind(StrEnum):
    """What a receipt does."""

    SALE = "sale"
    REFUND = "refund"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One receipt; amounts in minor units of `currency`. (source, location, transaction, kind) names it."""

    source: str
    location_id: str
    transaction_id: str
    sold_s: int
    kind: SaleKind
    gross_minor: int
    net_minor: int
    tax_minor: int
    currency: str
    items: int
    tender: str


def compute_sales(sales: Sequence[Sale] | None, visits: Sequence[Kpi], coverage: Coverage) -> tuple[Kpi, ...]:
    """Figures of the receipts of a bucket and of the bucket's other KPIs; `sales` None: none were delivered for it."""
    by_id = {kpi.id: kpi.value for kpi in visits if kpi.of is None}
    count, revenue = _transactions(sales), _revenue(sales)
    figures = {
        "transactions": count,
        "revenue": revenue,
        "atv": _ratio(revenue, count, "no transaction"),
        "conversion_rate": _ratio(count, by_id.get("visitors"), "nobody was counted"),
        "sales_per_visitor": _ratio(revenue, by_id.get("footfall"), "nobody was counted"),
    }
    return tuple(Kpi(id=id_, value=value, coverage=coverage) for id_, value in figures.items())


def _transactions(sales: Sequence[Sale] | None) -> Estimate:
    if sales is None:
        return undefined(NO_SALES, method=METHOD)
    kinds = [sale.kind for sale in sales]
    return _exact(kinds.count(SaleKind.SALE) - kinds.count(SaleKind.VOID))


def _revenue(sales: Sequence[Sale] | None) -> Estimate:
    """Gross of sales less refunds and voids."""
    if sales is None:
        return undefined(NO_SALES, method=METHOD)
    if len({sale.currency for sale in sales}) > 1:
        return undefined("more than one currency", method=METHOD)
    return _exact(sum(sale.gross_minor if sale.kind is SaleKind.SALE else -abs(sale.gross_minor) for sale in sales))


def _ratio(above: Estimate, below: Estimate | None, nobody: str) -> Estimate:
    """Divide an exact figure by an estimate: the interval is that of the divisor."""
    method = f"{METHOD} / {below.method}" if below else METHOD
    if above.value is None:
        return undefined(above.reason or NO_SALES, method=method)
    if below is None or not below.value:
        return undefined((below.reason if below else None) or nobody, method=method)
    low = above.value / below.high if below.high else None
    high = above.value / below.low if below.low else None
    low, high = (high, low) if above.value < 0 else (low, high)
    return Estimate(value=above.value / below.value, low=low, high=high, method=method)


def _exact(value: int) -> Estimate:
    return Estimate(value=float(value), low=float(value), high=float(value), method=METHOD)
