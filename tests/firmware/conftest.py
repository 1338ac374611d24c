"""The firmware's package on the path, and what CPython lacks for its pure modules."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.clock import library
from tests.firmware.board import Board
from tests.firmware.micropython import built
from tests.firmware.shop import Hand, Shop

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "shims"), str(HERE), str(HERE.parents[1] / "firmware")]


@pytest.fixture(scope="session")
def unix() -> Path:
    return built("unix")


@pytest.fixture(scope="session")
def rv32() -> Path:
    return built("qemu")


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Of each test its own: what a broker keeps of one board would reach the next."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    yield shop
    shop.stop()


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lets a board live faster (FastClock); the test needs gcc."""
    return library(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Path | None:
    """Give the MicroPython with the C module to tests parametrised so (board.EARS); else None: with a stand-in."""
    return built("unix") if getattr(request, "param", "stand-in") == "dot11cap" else None


@pytest.fixture
def board(tmp_path: Path, shop: Shop, program: Path | None) -> Iterator[Board]:
    board = Board(tmp_path / "flash", program=program)
    board.settings(**shop.settings())
    yield board
    board.stop()


@pytest.fixture
def hand(shop: Shop) -> Iterator[Hand]:
    hand = Hand(shop)
    yield hand
    hand.stop()
