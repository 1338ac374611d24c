"""The search for secrets finds every way of writing one, and nothing where there is nothing."""

import base64
import json
import secrets

import pytest

from tests.privacy.search import Search

ADDRESS, KEY, SSID = bytes.fromhex("a2b3c4d5e6f7"), bytes(range(100, 116)), "Café Süd".encode()
DEVICE = (0xFEDCBA9876543210).to_bytes(8, "little")
SEARCH = Search({"address": [ADDRESS], "key": [KEY], "ssid": [SSID], "device key": [DEVICE]})
WAYS = {
    "raw": lambda word: word,
    "reversed": lambda word: word[::-1],
    "lower hex": lambda word: word.hex().encode(),
    "upper hex": lambda word: word.hex().upper().encode(),
    "colons": lambda word: word.hex(":").encode(),
    "dashes": lambda word: word.hex("-").upper().encode(),
    "dots": lambda word: word.hex(".", 2).encode(),
    "base64": base64.b64encode,
    "url base64": base64.urlsafe_b64encode,
    "base64 within": lambda word: base64.b64encode(b"x" + word + b"yz"),
    "base64 of more": lambda word: base64.b64encode(b"xy" + word + b"z"),
    "json": lambda word: json.dumps({"a": word.hex(), "b": 1}).encode(),
}


@pytest.mark.parametrize("kind", ["address", "key", "ssid", "device key"])
@pytest.mark.parametrize("way", WAYS)
def test_it_finds_a_secret_in_the_midst_of_much_else(way: str, kind: str) -> None:
    word = {"address": ADDRESS, "key": KEY, "ssid": SSID, "device key": DEVICE}[kind]
    noise = secrets.token_bytes(5000)
    for before in (noise, b'{"mac":"', b"0", b"ab"):
        found = SEARCH.find(before + WAYS[way](word) + b'"}' + noise)
        assert {one.kind for one in found} == {kind}
        assert not SEARCH.find(before + WAYS[way](word) + b'"}', but=frozenset({kind}))


@pytest.mark.parametrize("word", [ADDRESS, DEVICE])
@pytest.mark.parametrize("order", ["big", "little"])
def test_it_finds_a_number(word: bytes, order: str) -> None:
    number = int.from_bytes(word, order)  # type: ignore[arg-type]
    assert SEARCH.find(f'{{"n": {number}, "m": 1}}'.encode())


def test_it_finds_a_secret_across_the_pieces_it_works_in_and_nothing_in_noise() -> None:
    noise = secrets.token_bytes((1 << 22) - 3)
    assert not SEARCH.find(noise + noise[:1000])
    assert SEARCH.find(noise + KEY)
    assert SEARCH.find(noise[:-5] + KEY)
