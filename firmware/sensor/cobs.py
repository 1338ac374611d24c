"""Consistent overhead byte stuffing (Cheshire and Baker 1999), compiled to machine code on the probe. Frames < 4 KiB.

The state between pieces is one int: where the next byte goes, << 12 where the open run's code is, << 24 whether a full
run was before it. The first state is 1.
"""

# ptr8 is viper's, a pointer to bytes.
# ruff: noqa: F821
import micropython


@micropython.viper
def cobs_more(out: ptr8, state: int, data: ptr8, size: int) -> int:
    """Stuff `size` bytes into `out`; give the state behind them."""
    at = state & 0xFFF
    code_at = (state >> 12) & 0xFFF
    full = (state >> 24) & 1
    for i in range(size):
        byte = int(data[i])
        if byte:
            out[at] = byte
        if byte == 0 or at - code_at == 254:
            full = 0 if byte == 0 else 1
            out[code_at] = at - code_at + full
            code_at = at + full
            at = code_at
        at += 1
    return at | (code_at << 12) | (full << 24)


@micropython.viper
def cobs_close(out: ptr8, state: int) -> int:
    """End the frame with its 0; give its length."""
    at = state & 0xFFF
    code_at = (state >> 12) & 0xFFF
    if at - code_at == 1 and (state >> 24) & 1:
        at = code_at  # nothing follows a full run
    else:
        out[code_at] = at - code_at
    out[at] = 0
    return at + 1


@micropython.viper
def cobs_decode(data: ptr8, size: int) -> int:
    """Undo it in place; give the length, -1 for damage."""
    at = 0
    to = 0
    code = 255
    while at < size:
        if code < 255:
            data[to] = 0
            to += 1
        code = int(data[at])
        end = at + code
        if code == 0 or end > size:
            return -1
        at += 1
        while at < end:
            byte = int(data[at])
            if byte == 0:
                return -1
            data[to] = byte
            to += 1
            at += 1
    return to if size else -1
