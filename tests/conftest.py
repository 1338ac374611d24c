"""Fixtures and markers every test folder shares."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

os.environ["PATH"] = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"  # Debian keeps mosquitto there
CI = os.environ.get("CI") == "true"
DATA = Path(os.environ.get("FOOTFALL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip `needs(component)` tests without their program; with CI=true that is a failure."""
    for marker in item.iter_markers("needs"):
        for component in marker.args:
            if shutil.which(component) is None:
                message = f"{component} is not installed"
                pytest.fail(message) if CI else pytest.skip(message)
    if item.get_closest_marker("realdata") and not DATA.is_dir():
        pytest.skip(f"no recorded data at {DATA} (set FOOTFALL_DATA)")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Give the folder of recorded data; use together with the `realdata` marker."""
    return DATA


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a real one to a module's tests marked `needs("chromium")`; asyncio.run cannot be used while it is open."""
    with sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()
