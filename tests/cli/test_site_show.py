"""`footfall site show`: the plan is where it belongs, suggestions can be pasted, what cannot be drawn is one line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from hostkit.cli.main import cli
from hostkit.config import dump_site, load_site, parse_site
from hostkit.core.predict import forecast
from hostkit.errors import InputError, UsageError
from hostkit.io import fonts, plot_site
from hostkit.model import Site
from hostkit.sim.plan import default_site
from tests.cli.command import footfall, refused
from tests.conftest import CI

GOOD = default_site(4)


def show(*arguments: str | Path) -> str:
    """Run in this process: five times faster."""
    result = CliRunner().invoke(cli, ["site", "show", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def written(tmp_path: Path, site: Site = GOOD) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(dump_site(site))
    return path


def test_a_picture_and_its_figures_by_command(tmp_path: Path) -> None:
    out = tmp_path / "plan.png"
    done = footfall("site", "show", written(tmp_path), "--out", out)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as image:
        assert image.size[0] > 1000
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 200
    assert re.search(r"drawn; 100% of the shop is heard by three probes; mean predicted error 4\.6 m", done.stderr)


def test_suggestions_pasted_into_site_toml_give_what_they_promised(tmp_path: Path) -> None:
    path = written(tmp_path)
    facts = json.loads(show(path, "--suggest", "2", "--keep", "--json"))
    assert not list(tmp_path.glob("*.png"))
    assert [probe["id"] for probe in facts["suggested"]] == ["probe-5", "probe-6"]
    said = show(path, "--suggest", "2", "--keep", "--out", tmp_path / "x.svg")
    snippet = said[said.index("[[probes]]") :]
    site = parse_site(dump_site(GOOD) + "\n" + snippet, "pasted")
    assert [list(probe.position_m or ()) for probe in site.probes[4:]] == [p["position_m"] for p in facts["suggested"]]
    seen = forecast(site.floors[0], site.probes, site.path_loss, 0.5)
    assert seen.over(seen.inside, seen.error_m) == pytest.approx(facts["error_m"], abs=0.02)
    assert facts["error_m"] < facts["error_at_present_m"] < facts["uninformed_m"]
    assert f"{facts['error_m']:.1f} m, at present {facts['error_at_present_m']:.1f} m" in said
    instead = json.loads(show(path, "--suggest", "5", "--json"))
    assert [probe["id"] for probe in instead["suggested"]] == [f"probe-{number}" for number in range(1, 6)]
    assert instead["probes"] == []


def drawn(site: Site, folder: Path, *options: str) -> np.ndarray:
    out = folder / "out.png"
    show(written(folder, site), "--out", out, *options)
    with Image.open(out) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_plan_lies_where_it_belongs(tmp_path: Path) -> None:
    """A red mark at the picture's top left is up left on the plan, and exactly at the metres it stands for."""
    picture = Image.new("RGB", (260, 220), "white")
    ImageDraw.Draw(picture).rectangle((30, 20, 59, 39), fill=(255, 0, 0))  # x 3 to 6 m, y 18 to 20 m
    picture.save(tmp_path / "plan.png")
    bare = replace(GOOD.floors[0], plan="plan.png", walls=(), interior_m=((0, 0), (26, 0), (26, 22), (0, 22)))
    site = replace(GOOD, floors=(bare,), zones=(), probes=GOOD.probes[:2])  # two probes: no map over it
    for plan_m, x, y in ((None, (3, 6), (18, 20)), ((10.0, 0.0, 26.0, 11.0), (11.85, 13.69), (9, 10))):
        image = drawn(replace(site, floors=(replace(bare, plan_m=plan_m),)), tmp_path)
        rows, columns = np.nonzero((image[:, :, 0] > 240) & (image[:, :, 1:] < 30).all(axis=2))
        frame_rows, frame_columns = np.nonzero((image < 10).all(axis=2))
        # The axes' frame is the longest dark line either way.
        left, right = np.bincount(frame_columns).argsort()[-2:]
        top, bottom = np.bincount(frame_rows).argsort()[-2:]
        left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
        metres_x = 26 * (np.array([columns.min(), columns.max() + 1]) - left) / (right - left)
        metres_y = 22 * (bottom - np.array([rows.max() + 1, rows.min()])) / (bottom - top)
        np.testing.assert_allclose(metres_x, x, atol=0.25)
        np.testing.assert_allclose(metres_y, y, atol=0.25)


def test_an_svg_plan_is_drawn_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "plan.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 260 220"><script>x</script>'
        '<rect x="30" y="20" width="30" height="20" fill="red"/><image href="file:///etc/hostname"/></svg>'
    )
    bare = replace(GOOD.floors[0], plan="plan.svg")
    image = drawn(replace(GOOD, floors=(bare,), zones=(), probes=GOOD.probes[:2]), tmp_path)
    assert ((image[:, :, 0] > 240) & (image[:, :, 1:] < 30).all(axis=2)).sum() > 500
    (tmp_path / "plan.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="&x;"/></svg>'
    )
    with pytest.raises(InputError, match=r"plan\.svg"):
        drawn(replace(GOOD, floors=(bare,)), tmp_path)


def test_svg_is_svg_and_the_same_twice(tmp_path: Path) -> None:
    path = written(tmp_path)
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        show(path, "--out", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert b"</svg>" in (tmp_path / "a.svg").read_bytes()


@pytest.mark.skipif(fonts.chinese_font() is None and not CI, reason="no font with Chinese characters")
def test_chinese_labels_need_no_glyph_that_is_missing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = written(tmp_path, replace(GOOD, name="上海店"))
    show(path, "--out", tmp_path / "zh.png", "--language", "zh")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    show(path, "--out", tmp_path / "en.png")
    assert (tmp_path / "zh.png").read_bytes() != (tmp_path / "en.png").read_bytes()


def test_without_such_a_font_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "chinese_font", lambda: None)
    with pytest.raises(InputError, match="no font has Chinese characters; install fonts-noto-cjk"):
        show(written(tmp_path), "--out", tmp_path / "zh.png", "--language", "zh")
    show(written(tmp_path, replace(GOOD, name="上海店")), "--out", tmp_path / "en.png")  # a name in boxes, no warning


def test_both_languages_have_the_same_words() -> None:
    assert set(plot_site.WORDS["en"]) == set(plot_site.WORDS["zh"])
    assert set(plot_site.KINDS) <= set(plot_site.WORDS["en"])


def test_zones_unheard_and_no_positions_are_drawn_too(tmp_path: Path) -> None:
    deaf = replace(GOOD, probes=tuple(replace(probe, floor_dbm=-60.0) for probe in GOOD.probes))
    assert drawn(deaf, tmp_path).shape == drawn(replace(GOOD, probes=()), tmp_path).shape


@pytest.mark.parametrize(
    ("arguments", "refusal", "pattern"),
    [
        (("--out", "plan.pdf"), UsageError, r"--out: 'plan\.pdf' is no \.png or \.svg; name it plan\.png"),
        (("--keep",), UsageError, "go with --suggest; say how many"),
        (("--floor", "attic", "--json"), UsageError, "--floor: there is no floor 'attic'; name one of ground"),
        (("--suggest", "32", "--keep", "--json"), UsageError, "no room for so many probes 2 m apart; ask for fewer"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], refusal: type[Exception], pattern: str
) -> None:
    with pytest.raises(refusal, match=pattern):
        show(written(tmp_path), *arguments)


def test_no_floor_and_two_floors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no floor to show"):
        show(written(tmp_path, replace(GOOD, floors=(), zones=(), probes=())), "--json")
    two = replace(GOOD, floors=(*GOOD.floors, replace(GOOD.floors[0], id="first")))
    with pytest.raises(UsageError, match=r"which floor\?; name one of ground, first"):
        show(written(tmp_path, two), "--json")
    assert json.loads(show(written(tmp_path, two), "--floor", "first", "--suggest", "3", "--json"))["floor"] == "first"


def test_a_plan_that_is_gone_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    site = replace(GOOD, floors=(replace(GOOD.floors[0], plan="plan.png"),))
    refused(
        footfall("site", "show", written(tmp_path, site), "--out", tmp_path / "a.png"), 3, r"plan\.png: cannot be read"
    )
    (tmp_path / "file").write_text("")
    done = footfall("site", "show", written(tmp_path), "--out", tmp_path / "file" / "a.png")
    refused(done, 5, "a part of the path is a file")
    assert load_site(tmp_path / "site.toml") == GOOD
