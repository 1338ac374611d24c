"""SipHash-2-4 (Aumasson and Bernstein 2012) in plain integers, for images without the C module."""

_M = 0xFFFFFFFFFFFFFFFF


def siphash(key: bytes, data) -> int:
    """Give the 64-bit hash of `data` under a 16-byte key."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    size = len(data)
    for at in range(0, size + 1, 8):
        word = int.from_bytes(data[at : at + 8], "little")
        if at + 8 > size:
            word |= (size & 255) << 56
        v[3] ^= word
        _round(v)
        _round(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(4):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _round(v: list[int]) -> None:
    a, b, c, d = v
    a = (a + b) & _M
    b = (b << 13 & _M | b >> 51) ^ a
    a = a << 32 & _M | a >> 32
    c = (c + d) & _M
    d = (d << 16 & _M | d >> 48) ^ c
    a = (a + d) & _M
    d = (d << 21 & _M | d >> 43) ^ a
    c = (c + b) & _M
    b = (b << 17 & _M | b >> 47) ^ c
    c = c << 32 & _M | c >> 32
    v[0], v[1], v[2], v[3] = a, b, c, d
