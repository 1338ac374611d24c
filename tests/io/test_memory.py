"""Secrets in memory: locked, wiped, scrubbed; a guarded process leaves no core and no copy behind in what it freed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit.io.memory import CACHED_BYTES, Secret, random_fill, scrub
from tests.privacy.memory import memory_of

# Leaves a long and a short copy of a secret behind in freed memory, then waits to be looked at or killed.
GUARDED = """
import ctypes, sys
from hostkit.io.memory import guard_process
refused = guard_process() if sys.argv[1] == "guarded" else ()
copies = [bytearray(b"seized-") * int(sys.argv[2]) for _ in range(50)]
copies.clear()
print(*refused, "dumpable", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
sys.stdin.read()
"""


def test_a_secret_is_filled_locked_hidden_and_wiped() -> None:
    secret, other = Secret(16, random_fill), Secret(16, random_fill)
    assert secret.locked
    assert bytes(secret.raw) != bytes(other.raw)
    assert bytes(secret.raw).hex() not in repr(secret)
    secret.wipe()
    assert bytes(secret.raw) == bytes(16)
    assert any(other.raw)


@pytest.mark.parametrize("secret", [bytes(range(16)), "0123456789abcdef" * 2])
def test_scrubbed_text_reads_as_nothing(secret: bytes | str) -> None:
    copy = bytes(bytearray(secret)) if isinstance(secret, bytes) else "".join(list(secret))
    assert copy == secret
    scrub(copy)
    assert set(copy) == {0} if isinstance(copy, bytes) else set(copy) == {"\0"}
    for shared in (b"", b"a", "", "a", "é"):
        scrub(shared)
    assert (bytes([97]), chr(97), chr(233)) == (b"a", "a", "é")


TIMES = CACHED_BYTES // len("seized-") + 1


def started(guarded: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", GUARDED, guarded, str(TIMES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == f"dumpable {int(guarded != 'guarded')}\n"
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_guarded_process_leaves_no_core_dump() -> None:
    process = started("guarded")
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4:6] == ["0"] * 2
    process.send_signal(signal.SIGQUIT)
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.communicate()
    assert ended is not None
    assert (ended.si_status, ended.si_code) == (signal.SIGQUIT, os.CLD_KILLED)  # not CLD_DUMPED


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="only root may look into a guarded process")
@pytest.mark.parametrize(("guarded", "left"), [("guarded", False), ("plain", True)])
def test_what_a_guarded_process_frees_is_overwritten(guarded: str, left: bool) -> None:
    process = started(guarded)
    found = b"".join(memory_of(process.pid)).count(b"seized-" * 20)
    process.communicate()
    assert bool(found) == left
