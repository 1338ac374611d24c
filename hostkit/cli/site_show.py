"""`footfall site show`: the floor plan with what its probes promise, and better places for them. No logic."""

import importlib
import json
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import file_argument, json_option, named_option, one_site
from hostkit.config import load_site
from hostkit.errors import InputError, UsageError
from hostkit.install import siteshow
from hostkit.install.siteshow import Shown
from hostkit.io.files import write_files
from hostkit.model import Probe, Site

FORMS = ("png", "svg")
MAX_SUGGESTED = 32
_NOTES = {
    "en": ("{covered:.0%} of the shop is heard by three probes; mean predicted error {error:.1f} m from one scan, "
           "knowing nothing {blind:.1f} m", "fewer than three probes: presence, no positions"),
    "zh": ("门店 {covered:.0%} 的面积可被三个探针听到；单次扫描平均预测误差 {error:.1f} 米，不测量时为 {blind:.1f} 米",
           "探针少于三个：只有到访，没有位置"),
}  # fmt: skip


@click.command(
    epilog="""Examples:

    \b
      footfall site show
      footfall site show shop/site.toml --out plan.svg --language zh
      footfall site show --suggest 4                   where four probes would do best, instead of those there
      footfall site show --suggest 1 --keep            where one more helps most
      footfall site show --suggest 6 --ceiling-m 3.2 --json

    \b
    Exit codes: 0 done, 2 no such floor, or no room for so many, 3 the plan cannot be drawn, 4 site.toml is broken,
    5 cannot be written."""
)
@file_argument
@named_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="PNG or SVG.  [default: SITE.png, with --json none]",
)
@click.option("--floor", metavar="ID", help="Which floor.  [default: the only one]")
@click.option("--language", type=click.Choice(tuple(_NOTES)), default="en", show_default=True, help="Of the labels.")
@click.option("--suggest", "count", type=click.IntRange(1, MAX_SUGGESTED), metavar="N", help="Suggest N places.")
@click.option("--keep", is_flag=True, help="With --suggest: beside the probes that are there, not instead of them.")
@click.option("--ceiling-m", type=click.FloatRange(2, 20), help="With --suggest: height of a ceiling to mount under.")
@json_option
def show(
    *, file: Path | None, named: Path | None, out: Path | None, floor: str | None, language: str, count: int | None,
    keep: bool, ceiling_m: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Draw the plan with zones, walls, probes and the predicted error of a position, which is the Cramér-Rao bound of
    one scan for somebody known to be in the shop. With --suggest, find places along walls and under the ceiling.
    """
    if count is None and (keep or ceiling_m is not None):
        raise UsageError("go with --suggest", where="--keep, --ceiling-m", next_step="say how many: --suggest 4")
    path = one_site(file, named)
    site = load_site(path)
    shown = siteshow.show_floor(site, floor, count=count or 0, keep=keep, ceiling_m=ceiling_m)
    target = out or (None if as_json else Path(f"{site.site}.png"))
    if target is not None:
        _draw(site, shown, path.parent, target, language)
    if as_json:
        text.emit(json.dumps(_facts(shown), indent=2) + "\n")
        return
    if count:
        _print_suggested(shown)
    if target is not None:
        text.remark(f"{target}: drawn; {_note(shown, 'en')}")


def _draw(site: Site, shown: Shown, folder: Path, target: Path, language: str) -> None:
    form = target.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise UsageError(f"{target.name[-40:]!a} is no .png or .svg", where="--out", next_step="name it plan.png")
    plot = importlib.import_module("hostkit.io.plot_site")  # with matplotlib, a second on a Pi: only for a picture
    fonts = importlib.import_module("hostkit.io.fonts")
    if language == "zh" and fonts.chinese_font() is None:
        step = "install fonts-noto-cjk, or: pip install 'footfall[fonts]'; or draw it with --language en"
        raise InputError("no font has Chinese characters", where="--language zh", next_step=step)
    chart = siteshow.chart_of(site, shown, folder, language, _note(shown, language))
    write_files({target: plot.draw(chart, fonts.families(), form)})


def _note(shown: Shown, language: str) -> str:
    whole, few = _NOTES[language]
    if not shown.positions:
        return few
    blind = siteshow.uninformed_m(shown.floor)
    return whole.format(covered=shown.covered_share, error=shown.error_m, blind=blind)


def _print_suggested(shown: Shown) -> None:
    rows = [(probe.id, *(f"{one:g}" for one in probe.position_m or ())) for probe in shown.suggested]
    text.table(("probe", "x m", "y m", "height m"), rows)
    text.emit(f"\nmean predicted error: {shown.error_m:.1f} m, at present {shown.before_m:.1f} m\n\n")
    text.emit(siteshow.snippet(shown.suggested))


def _facts(shown: Shown) -> dict[str, object]:
    def rows(probes: tuple[Probe, ...]) -> list[dict[str, object]]:
        return [{"id": probe.id, "position_m": probe.position_m} for probe in probes]

    return {
        "floor": shown.floor.id, "probes": rows(shown.probes), "suggested": rows(shown.suggested),
        "error_m": round(shown.error_m, 3), "error_at_present_m": round(shown.before_m, 3),
        "uninformed_m": round(siteshow.uninformed_m(shown.floor), 3), "covered_share": round(shown.covered_share, 4),
    }  # fmt: skip
