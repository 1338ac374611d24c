"""What learnt volatile fields are worth on phones whose owners are known: learnt on half of them, scored on the rest.

V-measure of elements alone against the true device (Rosenberg and Hirschberg 2007); the even devices in order of name
teach, the odd ones are scored, then the other way round. An address as a device and one class for all stand beside.
"""

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import v_measure_score

from hostkit.core.describe import split_elements
from hostkit.core.dot11 import FRAME, CaptureReader
from hostkit.core.volatile import VolatileFields, VolatileMask
from tests.accuracy.crowd import EMPTY_PCAP_BYTES, KEY

SSID, CHANNEL = 0, 3
Rows = dict[str, list[NDArray[np.void]]]


def captures(data: Path) -> dict[str, list[Path]]:
    """Captures of each labelled phone."""
    found: dict[str, list[Path]] = {}
    for path in sorted((data / "derand").glob("*/**/*.pcap")):
        if path.stat().st_size > EMPTY_PCAP_BYTES:
            found.setdefault(path.parent.name if path.parent.name.startswith("dev") else path.stem, []).append(path)
    return found


class Bare(VolatileFields):
    """Learns without the static table: from all elements but the network's name and the channel."""

    def rows_of(self, path: Path) -> NDArray[np.void]:
        """Rows whose fingerprint is a hash of those elements."""
        reader, parts = CaptureReader(path.read_bytes(), KEY), [np.empty(0, FRAME)]
        while (opened := reader.read_opened()) is not None:
            body = b"".join(one for one in split_elements(opened.elements) if one[0] not in {SSID, CHANNEL})
            opened.rows["fingerprint"] = crc32(body)
            self._descriptions[crc32(body)] = body
            parts.append(opened.rows)
        return np.concatenate(parts)

    def masked(self, mask: VolatileMask, fingerprints: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Hash again what the mask leaves."""
        known = {print_: crc32(mask.apply(self._descriptions[print_])) for print_ in np.unique(fingerprints).tolist()}
        return np.array([known[print_] for print_ in fingerprints.tolist()], np.uint32)


def learn(fields: VolatileFields, rows: Rows, phones: list[str]) -> None:
    for phone in phones:
        for part in rows[phone]:
            fields.learn(part)


def score(rows: Rows, phones: list[str], column: str = "fingerprint") -> float:
    classes = [np.concatenate([part[column] for part in rows[phone]]) for phone in phones]
    labels = np.concatenate([np.full(len(one), index) for index, one in enumerate(classes)])
    return float(v_measure_score(labels, np.concatenate(classes)))


@pytest.fixture(scope="module")
def bare(realdata: Path) -> tuple[Bare, Rows]:
    fields = Bare()
    rows = {phone: [fields.rows_of(path) for path in paths] for phone, paths in captures(realdata).items()}
    return fields, rows


@pytest.fixture(scope="module")
def static(realdata: Path) -> tuple[VolatileFields, Rows]:
    fields, rows = VolatileFields(), {}
    for phone, paths in captures(realdata).items():
        readers = [CaptureReader(path.read_bytes(), KEY, volatile=fields) for path in paths]
        rows[phone] = [reader.read(10**6) for reader in readers]
    return fields, rows


@pytest.mark.realdata
@pytest.mark.parametrize(("half", "short"), [(0, 0.02), (1, 0.15)])  # no phone of 1 changes its FILS parameters
def test_fields_learnt_on_half_the_phones_serve_the_other(
    bare: tuple[Bare, Rows], static: tuple[VolatileFields, Rows], half: int, short: float
) -> None:
    """From no table at all the learner comes to what the static table does, for what its phones change."""
    fields, rows = bare
    phones = sorted(rows)
    teachers, others = phones[half::2], phones[1 - half :: 2]
    fields.fields.clear()
    learn(fields, rows, teachers)
    mask = fields.mask()
    masked = {
        phone: [_with(part, fields.masked(mask, part["fingerprint"])) for part in rows[phone]] for phone in others
    }
    plain, with_mask, by_table = score(rows, others), score(masked, others), score(static[1], others)
    addresses = score(rows, others, "device_key")
    print(f"elements alone: V {plain:.3f}, without what was learnt {with_mask:.3f}, under the table {by_table:.3f}")
    print(f"addresses: V {addresses:.3f}; one class for all: 0; {len(mask.rules)} kinds of element are volatile")
    assert 1 <= len(mask.rules) <= 4
    assert with_mask >= plain + 0.05
    assert with_mask >= by_table - short


@pytest.mark.realdata
def test_under_the_static_table_nothing_is_volatile(static: tuple[VolatileFields, Rows]) -> None:
    """So a replay learns nothing of its own: there is nothing left to gain on these phones."""
    fields, rows = static
    learn(fields, rows, sorted(rows))
    assert sum(counts.pairs for counts in fields.fields.values()) > 100_000
    assert fields.mask().rules == {}


def _with(rows: NDArray[np.void], fingerprints: NDArray[np.uint32]) -> NDArray[np.void]:
    changed = rows.copy()
    changed["fingerprint"] = fingerprints
    return changed
