"""mqtt.js, Ajv and the reference client of Improv Serial from npm, installed once into the user's cache."""

import os
import subprocess
from pathlib import Path

import pytest

CI = os.environ.get("CI") == "true"
PACKAGES = ("mqtt@5", "ajv@8", "improv-wifi-serial-sdk@2.8.1")


def node_modules() -> Path:
    """Give the folder with the packages; without npm's registry the test is skipped, with CI=true it fails."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "footfall-tests" / "node"
    modules = cache / "node_modules"
    if not all((modules / package.rpartition("@")[0]).is_dir() for package in PACKAGES):
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(cache), *PACKAGES]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            message = f"npm cannot install {', '.join(PACKAGES)}: {done.stderr[-200:]}"
            pytest.fail(message) if CI else pytest.skip(message)
    return modules
