"""dot11.c built for processors that are not ours, without a libc, and run under qemu's user mode."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CEXT = Path(__file__).parents[1] / "cext"
DRIVER = Path(__file__).parent / "core" / "dot11_bare.c"
STRICT = ("-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow")
BARE = ("-O2", "-fno-stack-protector")  # no start-up code sets up what protectors need
XTENSA_HEADERS = "/usr/lib/xtensa-lx106-elf/include"  # Debian's picolibc has no specs file for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One processor: its compiler, its emulator, and the flags that both need."""

    compiler: str
    emulator: str
    flags: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Name the programs that are not installed."""
        return [program for program in (self.compiler, self.emulator) if shutil.which(program) is None]


TARGETS = {
    "x86-64": Target(compiler="gcc", emulator="qemu-x86_64", flags=("-mstackrealign",)),
    "aarch64": Target(compiler="aarch64-linux-gnu-gcc", emulator="qemu-aarch64"),
    "rv32imc": Target(
        compiler="riscv64-unknown-elf-gcc",
        emulator="qemu-riscv32",
        flags=("-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"),
    ),
    # The ESP8266's core: same instruction set family and byte order as an ESP32's, without its register windows.
    "xtensa": Target(
        compiler="xtensa-lx106-elf-gcc",
        emulator="qemu-xtensa",
        flags=("-mlongcalls", "-isystem", XTENSA_HEADERS),
        cpu=("-cpu", "lx106"),
    ),
}


def compile_object(target: Target, source: Path, out: Path, standard: str) -> Path:
    """Compile one file with every warning an error."""
    command = [target.compiler, f"-std={standard}", *STRICT, *BARE, *target.flags, f"-I{CEXT}", "-c", str(source)]
    subprocess.run([*command, "-o", str(out)], check=True)
    return out


def build(target: Target, folder: Path) -> Path:
    """Give a program that starts without a libc's start-up code; no relaxation: nothing sets a global pointer."""
    objects = [
        compile_object(target, DRIVER, folder / "driver.o", "gnu99"),
        compile_object(target, CEXT / "dot11.c", folder / "dot11.o", "c99"),
    ]
    program = folder / "bare"
    link = ("-nostdlib", "-static", "-Wl,-e,start", "-Wl,-N", "-Wl,--no-relax", "-Wl,--no-warn-rwx-segments")
    chip = [flag for flag in target.flags if flag.startswith("-m")]
    subprocess.run([target.compiler, *chip, *map(str, objects), *link, "-lgcc", "-o", str(program)], check=True)
    return program


def run(
    target: Target, program: Path, frames: Iterable[bytes], *, repeat: int = 0, options: tuple[str, ...] = ()
) -> list[str]:
    """Give the driver's lines: the table's version, then of each frame its record and fingerprint in hex."""
    data = repeat.to_bytes(2, "little") + b"".join(len(frame).to_bytes(2, "little") + frame for frame in frames)
    command = [target.emulator, *target.cpu, *options, str(program)]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().splitlines()
