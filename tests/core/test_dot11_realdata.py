"""Recorded probe requests, every field of every packet against tshark; all captures: `footfall evaluate parse`."""

from itertools import groupby
from pathlib import Path

import pytest

from hostkit.evaluate.parse import EMPTY_PCAP_BYTES, evaluate
from tests.conftest import DATA

# Of each phone of the labelled set its first capture: each is a start of tshark, which takes longer than the reading.
_CAGLIARI = [path for path in sorted(DATA.glob("derand/cagliari/*/*.pcap")) if path.stat().st_size > EMPTY_PCAP_BYTES]
CAPTURES = [
    *sorted(DATA.glob("probes/*/pcap/*/*.pcap")),
    *sorted(DATA.glob("derand/milano/*.pcap")),
    *(next(paths) for _, paths in groupby(_CAGLIARI, key=lambda path: path.parent)),
]


@pytest.mark.realdata
@pytest.mark.needs("tshark")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_capture_equals_tshark(path: Path) -> None:
    result = evaluate([path])
    assert not result.examples
    assert not result.not_compared
    assert result.frames > 0
    assert set(result.agreed.values()) == {result.packets}
