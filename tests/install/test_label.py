"""Labels: the code is read back by another program's reader; nothing is on them that is not public."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from hostkit.config import dump_site
from hostkit.errors import UsageError
from hostkit.install.label import Label, draw_labels, label_of
from hostkit.model import Probe
from hostkit.sim.plan import default_site
from tests.cli.command import footfall

LONG = "a-very-long-probe-name-of-32-xyz"
PROBES = tuple(
    Probe(id=name, floor="ground", position_m=(1.0 + at, 2.25, 2.5)) for at, name in enumerate(("till", LONG))
)
SITE = replace(default_site(), probes=PROBES)


def codes(image: bytes) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(Image.open(io.BytesIO(image)))]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)
def test_a_phone_reads_the_label(probe: Probe) -> None:
    label = label_of(SITE, probe)
    place = f"{SITE.tenant}/{SITE.site}"
    x = f"{probe.position_m[0]:.2f}" if probe.position_m else ""
    assert label.code == f"footfall:{place}/{probe.id}?floor=ground&x={x}&y=2.25&z=2.50"
    (image,) = draw_labels([label], Path("x.png")).values()
    assert codes(image) == [label.code]
    assert Image.open(io.BytesIO(image)).size == (826, 437)  # 70 by 37 mm at 300 dots an inch


def test_a_probe_without_a_place_has_a_label() -> None:
    label = label_of(SITE, Probe(id="spare"))
    assert (label.code, label.lines) == (f"footfall:{SITE.tenant}/{SITE.site}/spare", ())


def test_sheets() -> None:
    labels = [
        Label(probe=f"p-{number}", place="a/b", lines=(), code=f"footfall:a/b/p-{number}") for number in range(25)
    ]
    files = draw_labels(labels, Path("sheet.png"))
    assert [path.name for path in files] == ["sheet.png", "sheet-2.png"]
    first, second = (codes(image) for image in files.values())
    assert sorted([*first, *second]) == sorted(label.code for label in labels)
    assert second == [labels[24].code]
    (pdf,) = draw_labels(labels, Path("sheet.pdf")).values()
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") == 2
    assert pdf == next(iter(draw_labels(labels, Path("sheet.pdf")).values()))  # the same site gives the same file


def test_a_drawing_is_lines_not_dots() -> None:
    (svg,) = draw_labels([label_of(SITE, PROBES[0])], Path("x.svg")).values()
    assert b"<image" not in svg
    assert b'width="198.4' in svg  # 70 mm in points


def test_another_format_is_refused() -> None:
    with pytest.raises(UsageError, match="ends in 'gif'; use one of svg, pdf, png"):
        draw_labels([label_of(SITE, PROBES[0])], Path("x.gif"))


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(dump_site(SITE))
    done = footfall(
        "probe", "label", "--site", tmp_path / "site.toml", "--probe", "till", "--out", tmp_path / "till.png"
    )
    assert done.returncode == 0, done.stderr
    assert codes((tmp_path / "till.png").read_bytes()) == [label_of(SITE, PROBES[0]).code]
