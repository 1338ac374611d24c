"""Throw-away environments of peers under .bench/, each made once by pip. A peer that will not install is named so."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
INSTALL_S = 1800

# Arguments of pip, one call each. infostop 0.1.9 builds with a setuptools that still has pkg_resources. scikit-mobility
# 1.3.1 pins a geopandas and an igraph that no wheel of this Python has: it gets the oldest that run, without its pins.
OWN = "own"
RECIPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "trilateration": (("localization", "shapely", "easy-trilateration"),),
    "pyceres": (("pyceres",),),
    "geo": (("trackintel", "movingpandas"),),
    "fastmob": (("fastmob",),),
    "infostop": (("setuptools<81", "wheel", "pybind11", "numpy"), ("--no-build-isolation", "infostop")),
    "scikit-mobility": (
        (
            *("--only-binary", ":all:", "pandas<2", "numpy<2", "geopandas<1", "fiona<1.10", "shapely<2.1", "pyproj"),
            *("folium", "h3<4", "powerlaw", "tqdm", "requests", "statsmodels", "scikit-learn", "scipy", "matplotlib"),
            *("pooch", "igraph", "geojson"),
        ),
        ("--no-deps", "scikit-mobility"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a peer runs; `missing` says why it cannot."""

    python: Path
    missing: str = ""


def environment(name: str, *, say: "object" = None) -> Environment:
    """Give the environment, made first if need be; OWN is this process's."""
    if name == OWN:
        return Environment(python=Path(sys.executable))
    folder = FOLDER / name
    python = folder / "bin" / "python"
    done = folder / "installed"
    recipe = "\n".join(" ".join(arguments) for arguments in RECIPES[name])
    if done.is_file() and done.read_text() == recipe:
        return Environment(python=python)
    if callable(say):
        say(f"installing into .bench/{name}: {recipe.replace(chr(10), '; ')}")
    missing = _install(folder, python, RECIPES[name])
    if not missing:
        done.write_text(recipe)
    return Environment(python=python, missing=missing)


def _install(folder: Path, python: Path, recipe: tuple[tuple[str, ...], ...]) -> str:
    """Give what went wrong, in one line; "" if nothing did."""
    commands = [[sys.executable, "-m", "venv", "--clear", str(folder)]]
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    commands += [[*pip, *arguments] for arguments in recipe]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            return f"installing took more than {INSTALL_S} s"
        if done.returncode:
            errors = [line.strip() for line in done.stderr.splitlines() if "error" in line.lower()]
            return f"does not install: {(errors or ['pip failed'])[0][:120]}"
    return ""
