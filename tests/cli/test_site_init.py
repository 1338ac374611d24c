"""`footfall site init` as an installer meets it: asked on a terminal, told by options, told by a file."""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from hostkit.config import load_site
from tests.cli.command import COMMAND, ROOT, footfall, refused

SAID = (
    "--name", "Acme, Main Street", "--tenant", "acme", "--time-zone", "Europe/Berlin",
    "--hours", "mon-sat 09:00-20:00; sun closed",
)  # fmt: skip


def test_told_by_options(tmp_path: Path) -> None:
    path = tmp_path / "shop" / "site.toml"
    done = footfall("site", "init", path, *SAID, "--size", "20x15")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == f"footfall: next: footfall site check {path}"
    site = load_site(path)
    assert (site.tenant, site.site, site.name, len(site.probes)) == ("acme", "acme-main-street", "Acme, Main Street", 4)
    before = path.read_bytes()
    refused(footfall("site", "init", path, *SAID, "--size", "20x15"), 2, r"site\.toml: is there already; edit it")
    assert path.read_bytes() == before


def test_what_nobody_can_be_asked_is_named_at_once(tmp_path: Path) -> None:
    done = footfall("site", "init", tmp_path / "site.toml", "--size", "20x15")
    refused(done, 2, "not said: --name, --tenant, --site, --time-zone, --hours; add them")
    assert not (tmp_path / "site.toml").exists()


def test_a_plan_with_its_scale_from_a_file_of_answers(tmp_path: Path) -> None:
    there, shop = tmp_path / "owner", tmp_path / "shop"
    there.mkdir()
    Image.new("RGB", (1000, 800), "white").save(there / "plan.png")
    answers = tmp_path / "answers.toml"
    answers.write_text(
        'name = "上海店"\ntenant = "acme"\nsite = "shanghai-1"\ntime-zone = "Asia/Shanghai"\nhours = "daily 10-22"\n'
        f'plan = "{there}/plan.png"\nscale = "80,40:980,40=18"\nshop = "80,40:980,700"\nentrance = "left"\nprobes = 5\n'
    )
    done = footfall("site", "init", shop / "site.toml", "--answers", answers, "--street-m", "4", "--ceiling-m", "3.2")
    assert done.returncode == 0, done.stderr
    floor = load_site(shop / "site.toml").floors[0]
    assert floor.interior_m[2] == (18, 13.2)
    assert floor.plan_m == (-1.6, -2.0, 18.4, 14.0)
    assert floor.bounds_m[0] == -4
    assert (shop / "plan.png").read_bytes() == (there / "plan.png").read_bytes()
    assert len(load_site(shop / "site.toml").probes) == 5


@pytest.mark.parametrize(
    ("changed", "code", "pattern"),
    [
        (("--size", "20"), 2, "--size: '20' is no size"),
        (("--size", "3x3", "--probes", "40"), 2, "no room for"),
        (("--size", "20x15", "--time-zone", "Mars/Base"), 2, "--time-zone: 'Mars/Base' is unknown"),
        (("--size", "20x15", "--hours", "always"), 2, "--hours: 'always' says no opening hours"),
        (("--size", "20x15", "--tenant", "Acme Inc"), 2, "--tenant: 'Acme Inc' is no id"),
        (("--size", "20x15", "--entrance", "north"), 2, "--entrance: 'north' is no side"),
        (("--size", "20x15", "--probes", "0"), 2, "--probes: '0' is no number"),
        (("--size", "20x15", "--scale", "0.02"), 2, "--scale: goes with a picture"),
        (("--plan", "nowhere.png", "--scale", "0.02"), 3, r"nowhere\.png: cannot be read"),
        (("--size", "20x15", "--name", "x" * 200), 2, r"site\.toml: name: "),
        (("--answers", "README.md", "--size", "20x15"), 3, r"README\.md: cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tmp_path: Path, changed: tuple[str, ...], code: int, pattern: str
) -> None:
    refused(footfall("site", "init", tmp_path / "site.toml", *SAID, *changed), code, pattern)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = footfall("site", "init", tmp_path / "file" / "site.toml", *SAID, "--size", "20x15")
    refused(done, 5, "a part of the path is a file")


def test_asked_on_a_terminal_and_asked_again_after_a_wrong_answer(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    answers = ("Corner shop", "acme", "", "Berlin", "Europe/Berlin", "daily 9-20", "", "12x9", "", "3")
    said = typed(answers, "site", "init", str(path))
    assert "'Berlin' is unknown; write it as Europe/Berlin" in said
    assert "[corner-shop]" in said
    site = load_site(path)
    assert (site.name, site.site, site.floors[0].interior_m[2], len(site.probes)) == (
        "Corner shop", "corner-shop", (12, 9), 3,
    )  # fmt: skip


def test_ctrl_c_writes_nothing(tmp_path: Path) -> None:
    assert "stopped by you" in typed(("Corner shop", "\x03"), "site", "init", str(tmp_path / "site.toml"), code=130)
    assert not list(tmp_path.iterdir())


def typed(answers: tuple[str, ...], *arguments: str, code: int = 0) -> str:
    """Run on a terminal; type an answer at each prompt; give what was shown."""
    near, far = pty.openpty()
    child = subprocess.Popen(
        ["setsid", "--ctty", *COMMAND, *arguments], stdin=far, stdout=far, stderr=far, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
    )  # fmt: skip
    os.close(far)
    said, waiting, give_up = b"", list(answers), time.monotonic() + 60
    fresh = b""
    while time.monotonic() < give_up:
        if select.select([near], [], [], 0.2)[0]:
            try:
                part = os.read(near, 4096)
            except OSError:
                break
            said, fresh = said + part, fresh + part
        elif waiting and fresh.endswith(b": "):  # silent for 0.2 s: Python waits in readline, where Ctrl-C is heard
            answer, fresh = waiting.pop(0), b""
            os.write(near, answer.encode() + (b"" if answer == "\x03" else b"\n"))
    os.close(near)
    assert child.wait(60) == code, said.decode()
    return said.decode()
