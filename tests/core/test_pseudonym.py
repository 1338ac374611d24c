"""SipHash-2-4 against its published vectors, and the site key's discretion."""

import pytest

from hostkit.core.pseudonym import SiteKey
from tests import oracles

# Reference code of Aumasson and Bernstein, vectors_sip64: key and message are 00 01 02 ...
VECTORS = {
    0: 0x726FDB47DD0E0E31,
    1: 0x74F839C593DC67FD,
    6: 0xCBC9466E58FEE3CE,
    7: 0xAB0200F58B01D137,
    8: 0x93F5F5799A932462,
    15: 0xA129CA6149BE45E5,
    63: 0x958A324CEB064572,
}
KEY = SiteKey(raw=bytes(range(16)))


def test_published_vectors() -> None:
    assert {size: KEY.pseudonym(bytes(range(size))) for size in VECTORS} == VECTORS


def test_kernel_equals_the_paper_for_every_length() -> None:
    for size in range(260):
        assert KEY.pseudonym(bytes(range(256))[:size]) == oracles.siphash(KEY.raw, bytes(range(256))[:size])


def test_key_is_not_shown() -> None:
    assert "00" not in repr(KEY)
    assert "\\x" not in repr(KEY)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        SiteKey(raw=bytes(size))
