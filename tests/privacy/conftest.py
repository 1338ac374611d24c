"""One simulated day for all tests of this folder."""

import pytest

from tests.privacy.day import Day, live_through


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """Give the day, lived through once."""
    return live_through(tmp_path_factory.mktemp("day"))
