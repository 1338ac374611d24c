"""Finds secrets in bytes however they are written: as they are, reversed, hex, base64, decimal."""

import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 22
_FILTER_BITS = 24
_HEX = re.compile(rb"[0-9A-Fa-f](?:[:\-. ]?[0-9A-Fa-f]){11,}")
_DECIMAL = re.compile(rb"\d{9,20}")
_HEAD = 6  # bytes of a word that are looked for first; no word is shorter
_SEXTET = np.zeros(256, np.uint8)
for _alphabet in (b"+/", b"-_"):
    _letters = string.ascii_uppercase.encode() + string.ascii_lowercase.encode() + string.digits.encode() + _alphabet
    _SEXTET[list(_letters)] = range(64)
_APART = bytes(16)  # between pieces, so that no end and beginning make a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One secret found: which kind, how it was written, the secret itself."""

    kind: str
    how: str
    word: bytes


class Search:
    """Looks for all `words` of each kind at once; a word has at least six bytes."""

    def __init__(self, words: Mapping[str, Iterable[bytes]]) -> None:
        self.kinds: dict[bytes, str] = {}
        for kind, some in words.items():
            for word in some:
                assert len(word) >= _HEAD, (kind, word)
                self.kinds[word] = self.kinds[word[::-1]] = kind
        numbers = [word for word in self.kinds if len(word) <= 8]
        self._numbers = {int.from_bytes(word, "big"): word for word in numbers}
        self._by_head: dict[int, list[bytes]] = {}
        for word in self.kinds:
            self._by_head.setdefault(int.from_bytes(word[:_HEAD], "little"), []).append(word)
        self._longest = max(map(len, self.kinds))
        self._filter = np.zeros(1 << _FILTER_BITS, bool)
        self._filter[_hashed(np.array(list(self._by_head), np.uint64))] = True

    def find(self, data: bytes, *, but: frozenset[str] = frozenset()) -> list[Found]:
        """Give what is in `data`, each once, except the kinds in `but`."""
        views: Iterable[tuple[str, Iterable[bytes]]] = (
            ("raw", self._within(data)),
            ("hex", self._within(_unhexed(data))),
            ("base64", self._within(_unbased(data))),
            ("decimal", self._decimal(data)),
        )
        hits = {(how, word) for how, words in views for word in words if self.kinds[word] not in but}
        return [Found(kind=self.kinds[word], how=how, word=word) for how, word in sorted(hits)]

    def _within(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _CHUNK):
            part = data[start : start + _CHUNK + self._longest]
            heads = np.ndarray(len(part), "<u8", part + bytes(8), strides=(1,)) & np.uint64((1 << 8 * _HEAD) - 1)
            for at in np.nonzero(self._filter[_hashed(heads)])[0].tolist():
                for word in self._by_head.get(int(heads[at]), ()):
                    if part.startswith(word, at):
                        yield word

    def _decimal(self, data: bytes) -> Iterator[bytes]:
        for run in _DECIMAL.finditer(data):
            if word := self._numbers.get(int(run.group())):
                yield word


def _hashed(heads: NDArray[np.uint64]) -> NDArray[np.int64]:
    mixed = heads * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)


def _unhexed(data: bytes) -> bytes:
    pieces = []
    for run in _HEX.finditer(data):
        digits = run.group().translate(None, b":-. ")
        pieces += [bytes.fromhex(digits[odd : odd + (len(digits) - odd) // 2 * 2].decode()) for odd in (0, 1)]
    return _APART.join(pieces)


def _unbased(data: bytes) -> bytes:
    """Read all of it as base64, beginning at each of four places: one of them fits any run of it."""
    sextets = _SEXTET[np.frombuffer(data + bytes(4), np.uint8)].astype(np.uint32)
    pieces = []
    for offset in range(4):
        four = sextets[offset : offset + (len(sextets) - offset) // 4 * 4].reshape(-1, 4)
        number = four[:, 0] << 18 | four[:, 1] << 12 | four[:, 2] << 6 | four[:, 3]
        pieces.append((number << 8).astype(">u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return _APART.join(pieces)
