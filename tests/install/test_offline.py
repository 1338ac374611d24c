"""A folder that installs without internet: what another machine needs is found by its own markers, nothing is half."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hostkit.errors import InputError, PeerError, UsageError
from hostkit.install import bundled_install
from hostkit.install.offline import EXTRAS, Wanted, check, pack
from hostkit.install.wheelhouse import MACHINES, Target, fetch_by_pip, missing, read_wheel
from tests.cli.command import footfall, refused
from tests.install.wheels import wheel

ROOT = Path(__file__).parents[2]
HERE = Target(machine="linux-x86_64", minor=11)
PI = Target(machine="linux-aarch64", minor=11)
LAPTOP = Target(machine="windows-amd64", minor=12)
OWN = ("base", "tool>=2; extra == 'install'", "letters; extra == 'fonts'", "plots; extra == 'evaluate'")
KINDS = ("install", "fonts", "evaluate")


def index(folder: Path) -> Path:
    """Everything an index has."""
    wheel(folder, "base", requires=["native", "winonly; sys_platform == 'win32'", "old; python_version < '3.9'"])
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_aarch64", "cp312-cp312-win_amd64"):
        wheel(folder, "native", tag=tag, requires=["deep[more]"])
    wheel(folder, "deep", requires=["deeper; extra == 'more'"], extras=["more"])
    wheel(folder, "deeper")
    wheel(folder, "winonly", tag="py3-none-win_amd64")
    wheel(folder, "tool", "1.5")
    wheel(folder, "tool", "2.5")
    wheel(folder, "letters")
    wheel(folder, "plots")
    return folder


def own(folder: Path, *tags: str) -> tuple[Path, ...]:
    return tuple(wheel(folder, "footfall", "0.9", tag, OWN, KINDS, command=True) for tag in tags)


def fetch_from(folder: Path) -> Callable[[Path, Target, Sequence[str]], None]:
    """As pip does: requirements judged by this machine, whatever the target, so that Windows' own are left out."""

    def fetch(into: Path, target: Target, requirements: Sequence[str]) -> None:
        every = [read_wheel(path) for path in folder.glob("*.whl")]
        for requirement in requirements:
            fitting = [one for one in every if one.tags & target.tags() and not missing([one], target, [requirement])]
            fitting = fitting or [one for one in every if one.tags & target.tags() and requirement.startswith(one.name)]
            for one in fitting:
                shutil.copyfile(one.path, into / one.path.name)

    return fetch


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "wheels").iterdir()}


def test_what_each_machine_needs_is_found_by_its_own_markers(tmp_path: Path) -> None:
    wheels = own(tmp_path, "cp311-cp311-linux_x86_64", "cp311-cp311-linux_aarch64", "cp312-cp312-win_amd64")
    said: list[str] = []
    wanted = Wanted(targets=(HERE, PI, LAPTOP), own=wheels)
    manifest = pack(wanted, tmp_path / "out", fetch_from(index(tmp_path / "index")), said.append)
    assert names(tmp_path / "out") == {
        *(path.name for path in wheels), "base-1.0-py3-none-any.whl", "deep-1.0-py3-none-any.whl",
        "deeper-1.0-py3-none-any.whl", "letters-1.0-py3-none-any.whl", "tool-2.5-py3-none-any.whl",
        "native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "native-1.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        "native-1.0-cp312-cp312-win_amd64.whl", "winonly-1.0-py3-none-win_amd64.whl",
    }  # fmt: skip
    assert said[0].startswith("linux-x86_64, Python 3.11: 7 wheels")
    assert said[2].startswith("windows-amd64, Python 3.12: 8 wheels")
    assert manifest.footfall == "0.9"
    assert check(tmp_path / "out") == manifest
    assert (
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=False).returncode == 0
    )


def test_a_machine_without_a_wheel_of_ours_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    wanted = Wanted(targets=(HERE, PI), own=own(tmp_path, "cp311-cp311-linux_x86_64"))
    with pytest.raises(UsageError, match=r"no wheel of footfall is for linux-aarch64, Python 3\.11; build it there or"):
        pack(wanted, tmp_path / "out", fetch_from(index(tmp_path / "index")), lambda _: None)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"index"}


def test_what_cannot_be_had_is_named(tmp_path: Path) -> None:
    index(tmp_path / "index")
    (tmp_path / "index" / "deeper-1.0-py3-none-any.whl").unlink()
    wanted = Wanted(targets=(HERE,), own=own(tmp_path, "cp311-cp311-linux_x86_64"))
    with pytest.raises(InputError, match=r"linux-x86_64, Python 3\.11: deeper cannot be had"):
        pack(wanted, tmp_path / "out", fetch_from(tmp_path / "index"), lambda _: None)
    assert not (tmp_path / "out").exists()


def test_tags_of_each_machine() -> None:
    tags = {machine: Target(machine=machine, minor=11).tags() for machine in MACHINES}
    texts = {machine: {str(tag) for tag in found} for machine, found in tags.items()}
    for machine, tag in (
        ("linux-x86_64", "py3-none-any"),
        ("linux-x86_64", "cp311-cp311-manylinux2014_x86_64"),
        ("linux-x86_64", "cp39-abi3-manylinux_2_28_x86_64"),
        ("linux-aarch64", "cp311-cp311-manylinux_2_28_aarch64"),
        ("linux-aarch64", "cp311-cp311-linux_aarch64"),
        ("windows-amd64", "cp311-cp311-win_amd64"),
        ("macos-arm64", "cp311-cp311-macosx_11_0_arm64"),
        ("macos-x86_64", "cp311-cp311-macosx_10_13_universal2"),
    ):
        assert tag in texts[machine], (machine, tag)
    assert not texts["linux-x86_64"] & {one for one in texts["linux-aarch64"] if "any" not in one}
    assert not any("manylinux_2_39" in one or "musllinux" in one for one in texts["linux-x86_64"])


def bundle_of(tmp_path: Path, machine: str = "", minor: int = 0) -> Path:
    """One for this very machine and Python, whose footfall is a stand-in."""
    here = Target(machine=machine or bundled_install.system(), minor=minor or sys.version_info.minor)
    wheels = own(tmp_path, "py3-none-any")
    folder = wheel(tmp_path / "index", "base").parent
    for name, version in (("tool", "2.5"), ("letters", "1.0")):
        wheel(folder, name, version)
    (tmp_path / "font.ttf").write_bytes(b"font")
    wanted = Wanted(targets=(here,), own=wheels, firmware=ROOT / "firmware", fonts=(tmp_path / "font.ttf",))
    pack(wanted, tmp_path / "bundle", fetch_from(folder), lambda _: None)
    return tmp_path / "bundle"


def installed(bundle: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run its script as a stranger does: Python of the system, no packages, no index."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(bundle / "install.py"), *arguments],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], "PIP_INDEX_URL": "http://127.0.0.1:9/"},
    )  # fmt: skip


def test_it_installs_from_the_folder_alone(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path)
    assert (bundle / "firmware" / "sensor" / "app.py").read_bytes() == (ROOT / "firmware/sensor/app.py").read_bytes()
    assert (bundle / "fonts" / "font.ttf").read_bytes() == b"font"
    done = installed(bundle, "--to", str(tmp_path / "place"))
    assert done.returncode == 0, done.stderr
    assert "files are whole\ninstalled; start it with: " in done.stdout
    command = done.stdout.strip().rpartition(": ")[2]
    assert subprocess.run([command], capture_output=True, text=True, check=True).stdout == "footfall 0.9 runs\n"
    listed = subprocess.run([str(Path(command).parent / "pip"), "list"], capture_output=True, text=True, check=True)
    assert "letters" in listed.stdout
    assert "plots" not in listed.stdout
    again = installed(bundle, "--to", str(tmp_path / "place"))
    assert (again.returncode, again.stderr) == (
        3,
        f"install: {tmp_path}/place: is there already; next: delete it or name another with --to\n",
    )


@pytest.mark.parametrize("victim", ["wheels/tool-2.5-py3-none-any.whl", "install.py", "firmware/main.py"])
def test_damage_is_found_by_the_command_and_by_the_script(tmp_path: Path, victim: str) -> None:
    bundle = bundle_of(tmp_path)
    assert installed(bundle, "--check").returncode == 0
    path = bundle / victim
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(InputError, match=f"{victim}: is missing or damaged; copy the folder again"):
        check(bundle)
    done = installed(bundle, "--to", str(tmp_path / "place"))
    assert (done.returncode, done.stderr) == (
        3,
        f"install: {victim}: missing or damaged; next: copy the folder again\n",
    )
    assert not (tmp_path / "place").exists()


def test_another_python_is_told_which_one(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "linux-aarch64", 13)
    done = installed(bundle, "--to", str(tmp_path / "place"))
    assert done.returncode == 3
    assert done.stderr.endswith("the bundle is for linux-aarch64, Python 3.13; next: start it with such a Python\n")
    assert done.stderr.count("\n") == 1


def test_a_manifest_that_leads_outside_is_refused(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path)
    manifest = json.loads((bundle / "bundle.json").read_text())
    for name in ("../font.ttf", "/etc/hostname"):
        manifest["files"] = [{"path": name, "size": 4, "sha256": "0" * 64}]
        (bundle / "bundle.json").write_text(json.dumps(manifest))
        with pytest.raises(InputError, match="do not use it"):
            check(bundle)
    (bundle / "bundle.json").write_text("{}")
    with pytest.raises(InputError, match="is no bundle"):
        check(bundle)


def test_parts_that_are_broken(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("")
    fetch = fetch_from(index(tmp_path / "index"))
    base = {"targets": (HERE,), "own": own(tmp_path, "cp311-cp311-linux_x86_64")}
    for changes, pattern in (
        ({"fonts": (tmp_path / "note.txt",)}, r"note\.txt: is no font file"),
        ({"firmware": tmp_path}, "cannot be read|is no firmware"),
        ({"images": tmp_path}, r"manifest\.json"),
        ({"own": ()}, "no wheel of footfall is given; build them with scripts/wheels"),
        ({"own": (tmp_path / "note.txt",)}, "is no wheel"),
        ({"own": (wheel(tmp_path, "other"),)}, "is a wheel of other"),
        ({"own": (wheel(tmp_path, "footfall", "0.8"),)}, "without its extras"),
    ):
        with pytest.raises((InputError, UsageError), match=pattern):
            pack(Wanted(**base | changes), tmp_path / "out", fetch, lambda _: None)  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()
    assert EXTRAS == "fonts,install"


def test_no_internet_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("PIP_INDEX_URL", "http://127.0.0.1:9/"),
        ("PIP_RETRIES", "0"),
        ("PIP_CONFIG_FILE", os.devnull),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(PeerError, match=r"pip: footfall-has-no-such-thing for linux-x86_64, .*; is there internet"):
        fetch_by_pip(tmp_path, HERE, ["footfall-has-no-such-thing"])


def test_by_command(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path)
    done = footfall("bundle", "--check", bundle, "--json")
    assert json.loads(done.stdout)["footfall"] == "0.9"
    refused(footfall("bundle", "--out", bundle), 2, "is there already; delete it or name another")
    refused(
        footfall("bundle", "--out", tmp_path / "x"), 2, "no wheel of footfall is given; build them with scripts/wheels"
    )
    refused(footfall("bundle", "--python", "2.7"), 2, r"'2\.7' is no Python; write 3\.11 or later")
    refused(footfall("bundle", "--check", tmp_path), 3, "is no bundle")


def test_wheels_are_configured_for_every_machine() -> None:
    """What cibuildwheel itself makes of pyproject.toml; building them needs containers and other systems."""
    built = set()
    for system in ("linux", "macos", "windows"):
        argv = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", system, str(ROOT)]
        built |= set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    for minor in (11, 12, 13):
        ends = ("manylinux_x86_64", "manylinux_aarch64", "macosx_x86_64", "macosx_arm64", "win_amd64")
        assert {f"cp3{minor}-{end}" for end in ends} <= built
    assert not [one for one in built if "musllinux" in one or "win32" in one or "i686" in one]
