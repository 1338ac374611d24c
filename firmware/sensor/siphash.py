"""SipHash-2-4 (Aumasson and Bernstein 2012), compiled to machine code, for images without the C module.

Its 64-bit words are pairs of 32-bit ones, low half first; `mask` keeps them so where a machine word is longer.
"""

# ptr32 and uint are viper's.
# ruff: noqa: F821
from array import array
from struct import unpack_from

import micropython

_START = b"uespemosmodnarodarenegylsetybdet"  # the paper's constants, little-endian
_MASK = 0xFFFFFFFF


def siphash(key: bytes, data) -> int:
    """Give the 64-bit hash of `data` under a 16-byte key."""
    size = len(data)
    words = array("I", bytes(data) + bytes(7 - size % 8) + bytes((size & 255,)))
    state = array("I", _START)
    _absorb(state, array("I", bytes(key)), words, len(words), _MASK)
    return int(unpack_from("<Q", state)[0])


@micropython.viper
def _absorb(state: ptr32, key: ptr32, words: ptr32, count: int, mask: uint):
    """Leave the hash in the first two words of `state`."""
    al, ah = uint(state[0]) ^ uint(key[0]), uint(state[1]) ^ uint(key[1])
    bl, bh = uint(state[2]) ^ uint(key[2]), uint(state[3]) ^ uint(key[3])
    cl, ch = uint(state[4]) ^ uint(key[0]), uint(state[5]) ^ uint(key[1])
    dl, dh = uint(state[6]) ^ uint(key[2]), uint(state[7]) ^ uint(key[3])
    ml, mh = uint(0), uint(0)
    at = 0
    while at <= count:
        rounds = 2
        if at < count:
            ml = uint(words[at])
            mh = uint(words[at + 1])
            dl ^= ml
            dh ^= mh
        else:
            rounds = 4
            ml = uint(0)
            mh = uint(0)
            cl ^= 255
        while rounds:
            al = (al + bl) & mask
            ah = (ah + bh + (1 if al < bl else 0)) & mask
            t = (bl << 13 | bh >> 19) & mask
            bh = (bh << 13 | bl >> 19) & mask ^ ah
            bl = t ^ al
            cl = (cl + dl) & mask
            ch = (ch + dh + (1 if cl < dl else 0)) & mask
            t = (dl << 16 | dh >> 16) & mask
            dh = (dh << 16 | dl >> 16) & mask ^ ch
            dl = t ^ cl
            t = (ah + dl) & mask  # a was turned by 32: its halves change places
            ah = (al + dh + (1 if t < dl else 0)) & mask
            al = t
            t = (dl << 21 | dh >> 11) & mask
            dh = (dh << 21 | dl >> 11) & mask ^ ah
            dl = t ^ al
            cl = (cl + bl) & mask
            ch = (ch + bh + (1 if cl < bl else 0)) & mask
            t = (bl << 17 | bh >> 15) & mask
            bh = (bh << 17 | bl >> 15) & mask ^ ch
            bl = t ^ cl
            t = cl
            cl = ch
            ch = t
            rounds -= 1
        al ^= ml
        ah ^= mh
        at += 2
    state[0] = al ^ bl ^ cl ^ dl
    state[1] = ah ^ bh ^ ch ^ dh
