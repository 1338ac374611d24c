"""Memory that holds a secret: locked, left out of core dumps, overwritten when it is given up. Writes no file.

What this cannot promise: Python copies strings and bytes as it likes. The ways of a key through the hub are built so
that it is never a string or bytes there, but for `scrub`'s; what the C library frees is overwritten at once, except
blocks small enough for its per-thread cache (`CACHED_BYTES`). Buffers of the kernel and of TLS are theirs to clear,
registers and hibernation nobody's. Whoever is root on the running hub reads the key of the day.
"""

import ctypes
import mmap
import sys
from collections.abc import Callable
from typing import TypeAlias

if sys.platform != "win32":
    import resource

Fill: TypeAlias = Callable[[memoryview], object]

CACHED_BYTES = 1032  # glibc: freed blocks up to this size may wait in the per-thread cache as they are
_PR_SET_DUMPABLE, _M_PERTURB, _OVERWRITTEN_WITH = 4, -6, 0x5A
_libc = ctypes.CDLL(None) if sys.platform != "win32" else None


class Secret:
    """Some bytes in a page of their own. `locked`: they cannot reach swap. `repr` hides them."""

    def __init__(self, size: int, fill: Fill) -> None:
        self._page = mmap.mmap(-1, max(size, 1))
        if hasattr(mmap, "MADV_DONTDUMP"):
            self._page.madvise(mmap.MADV_DONTDUMP)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self.locked = _call("mlock", ctypes.c_void_p(start), ctypes.c_size_t(size))
        self.raw = memoryview(self._page)[:size]
        fill(self.raw)

    def wipe(self) -> None:
        """Overwrite it; it reads as zeros from now on."""
        self.raw[:] = bytes(len(self.raw))


def random_fill(into: memoryview) -> None:
    """Fill from the kernel's generator, without a copy in between."""
    with open("/dev/urandom", "rb", buffering=0) as source:
        while into:
            into = into[source.readinto(into) :]


def scrub(secret: bytes | str) -> None:
    """Overwrite bytes or ASCII text where they lie; nobody else may hold them. CPython keeps the data at the end."""
    size = len(secret)
    if sys.implementation.name == "cpython" and size > 1 and (isinstance(secret, bytes) or secret.isascii()):
        ctypes.memset(id(secret) + sys.getsizeof(secret) - size - 1, 0, size)


def guard_process() -> tuple[str, ...]:
    """See that this process leaves no image of its memory; give what the system refused.

    No core dump, also none through a pipe (which ignores the limit), no reading by other processes of the same user,
    and what is freed is overwritten.
    """
    done = {
        "core dumps are not limited to nothing": _no_core(),
        "other processes of this user may read its memory": _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0),
        "freed memory is not overwritten": _call("mallopt", _M_PERTURB, _OVERWRITTEN_WITH, good=1),
    }
    return tuple(what for what, ok in done.items() if not ok)


def _no_core() -> bool:
    if sys.platform == "win32":
        return False
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return False
    return True


def _call(name: str, *arguments: object, good: int = 0) -> bool:
    function = getattr(_libc, name, None)  # another system's library may lack it
    return function is not None and function(*arguments) == good
