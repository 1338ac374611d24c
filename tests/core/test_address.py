"""EUI-48 text."""

import pytest

from hostkit.core.address import format_address, is_randomised, parse_address
from hostkit.errors import InputError


@pytest.mark.parametrize("text", ["dc:fb:48:68:be:e4", "DC-FB-48-68-BE-E4", "  dc:FB:48:68:be:e4\n"])
def test_parse(text: str) -> None:
    assert parse_address(text, where="fixed.txt line 1") == b"\xdc\xfb\x48\x68\xbe\xe4"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dcfb4868bee4",
        "dc:fb:48:68:be",
        "dc:fb:48:68:be:e4:00",
        "dc:fb-48:68:be:e4",
        "gc:fb:48:68:be:e4",
        "٠0:fb:48:68:be:e4",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^fixed.txt line 3: .* is not an address; write it as "):
        parse_address(text, where="fixed.txt line 3")


def test_refusal_is_one_clean_line() -> None:
    with pytest.raises(InputError) as caught:
        parse_address("\x1b[31m\n" + "x" * 500, where="fixed.txt line 3")
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_format_is_the_inverse() -> None:
    assert format_address(parse_address("DC-FB-48-68-BE-E4", where="")) == "dc:fb:48:68:be:e4"
    with pytest.raises(ValueError, match="6 bytes"):
        format_address(b"\0" * 5)


@pytest.mark.parametrize(
    ("first", "randomised"), [(0x00, False), (0x01, False), (0x02, True), (0xDC, False), (0x96, True)]
)
def test_locally_administered_bit(first: int, randomised: bool) -> None:
    assert is_randomised(bytes((first, 0, 0, 0, 0, 0))) is randomised
