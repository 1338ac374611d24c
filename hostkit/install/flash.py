"""Images onto chips, by esptool as a program. Refuses the wrong image; says what esptool's complaints mean.

An update writes the parts of the image that are no data; it is refused where the partitions on the chip are others,
since what they hold could not be kept. esptool holds the MD5 of what it wrote against the chip's own.
"""

import hashlib
import importlib.util
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hostkit.errors import HostkitError, InputError, PeerError, StorageError, UsageError
from hostkit.install import complaints
from hostkit.install.complaints import Complaint
from hostkit.install.fleet import Board, Job, Step
from hostkit.install.images import TABLE_BYTES, TABLE_OFFSET, Build, Part, parts_for_update, read_table
from hostkit.install.ports import BACK_S, TAKE_RULE, await_port
from hostkit.io.files import write_files
from hostkit.io.program import run_program

BAUD = 460_800
ASK_S = 60.0
WRITE_S = 600.0
INSTALL = "install it: pip install 'footfall[install]'"
_MIB = 1 << 20
_SHARE = re.compile(r"(\d+(?:\.\d+)?)% ")
_CHIP = re.compile(r"(?:Detecting chip type\.\.\.|Connected to) (ESP32(?:-[A-Z]\d+)?)\b")
_MAC = re.compile(r"MAC: +([0-9a-f:]{17,23})", re.IGNORECASE)
_SIZE = re.compile(r"Detected flash size: (\d+)(KB|MB)")
_VERIFIED = "Hash of data verified"


class Mode(StrEnum):
    """What becomes of what is on the chip."""

    UPDATE = "update"  # settings, credentials and spool stay
    FACTORY = "factory"  # everything is erased


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a board says of itself. `mark` knows it again without naming it: a digest of its MAC."""

    family: str
    flash_mib: float
    mark: str


# What esptool 5 says, what it means, what helps. First match wins; the texts are of its loader.py and cmds.py, of
# pyserial and of the operating systems.
_NEXT_BOOT = "hold BOOT, press and let go RESET (or plug it in again), let go BOOT after two seconds, and try again"
_NEXT_CABLE = "try again with --baud 115200, a shorter cable that carries data, and no USB hub between"
_COMPLAINTS = (
    Complaint(
        r"device disconnected|device reports readiness|Errno 5\]|Errno 6\]|Input/output error|Device not configured|"
        r"ClearCommError|WriteFile failed|No such device|Bad file descriptor",
        PeerError,
        "the board was unplugged",
        "plug it in again and start over: a board half written stays in its boot loader",
    ),
    Complaint(
        r"PermissionError\(13|WinError 5|Access is denied",
        PeerError,
        "the port is busy",
        "close the program that has it open",
    ),
    Complaint(r"Errno 13|Permission denied", PeerError, "you may not open it", TAKE_RULE),
    Complaint(
        r"Errno 16|Errno 11|exclusively lock|Resource temporarily",
        PeerError,
        "the port is busy",
        "close the program that has it open (footfall probe ports names it)",
    ),
    Complaint(
        r"No such file|FileNotFoundError|[Cc]ould not open port",
        PeerError,
        "the board is not there: unplugged, or on another port",
        "plug it in again and start over; footfall probe ports lists the ports",
    ),
    Complaint(
        r"This chip is (\S+?),? not (\S+?)\.",
        InputError,
        "the chip is another than before",
        "see that nobody plugged in another board, and try again",
    ),
    Complaint(
        r"Unexpected chip|Failed to autodetect", PeerError, "is no chip we know", "use a board of hardware/boards"
    ),
    Complaint(
        r"MD5 of file does not match|flash region is empty|Hash.*mismatch|Digest mismatch",
        PeerError,
        "what the chip holds is not what was written (its MD5 differs)",
        "try again; if it stays, the board's flash is worn out: take another board",
    ),
    Complaint(r"Wrong boot mode|download mode", PeerError, "the chip is not in its boot loader", _NEXT_BOOT),
    Complaint(
        r"Invalid head of packet|serial noise|Packet content transfer stopped|Unable to verify flash chip|"
        r"Corrupt data|Invalid SLIP|Checksum error|Unexpected response",
        PeerError,
        "the line garbles what is sent (wrong baud rate, a bad cable)",
        _NEXT_CABLE,
    ),
    Complaint(
        r"stopped responding|Serial data stream stopped|Failed to write|Failed to enter|Timed? ?out|"
        r"Failed to start stub",
        PeerError,
        "the chip fell silent half-way",
        "plug it in again and start over; " + _NEXT_CABLE,
    ),
    Complaint(
        r"No serial data received|Failed to connect|Could not connect",
        PeerError,
        "no answer from a boot loader",
        _NEXT_BOOT,
    ),
    Complaint(r"No space left|Errno 28", StorageError, "the disk is full", "free some space"),
    Complaint(
        r"[Ss]ecure [Dd]ownload|[Ee]ncryption",
        PeerError,
        "the chip is locked (secure download or flash encryption)",
        "update it over the network: footfall probe update",
    ),
)


def flash_step(catalogue: Mapping[str, Build], mode: Mode, *, baud: int = BAUD) -> Step:
    """Give the step `flash`: detect, choose the image, write, verify. Facts: port, family, mark, version, mode."""
    digest = hashlib.sha256("".join(f"{name}{build.digest}" for name, build in catalogue.items()).encode()).hexdigest()

    def write(job: Job) -> dict[str, str]:
        port = port_of(job)
        found = detect(port, job)
        build = choose(catalogue, found, job.board, port)
        flash(port, build, mode, job, baud=baud)
        facts = {"port": port, "family": found.family, "mark": found.mark}
        return {**facts, "version": build.version, "mode": mode.value}

    return Step(name="flash", run=write, inputs=lambda board: f"{mode} {digest} {board.cells.get('chip', '')}".strip())


def port_of(job: Job) -> str:
    """Give the port of a job's board, once it is there and free; a step before may have restarted it."""
    return await_port(job.board.port, job.check, BACK_S if job.facts else 0.0)


def detect(port: str, job: Job) -> Found:
    """Ask the chip what it is. PeerError where it does not say."""
    job.say("asking the chip")
    said = "\n".join(esptool(port, ["flash-id"], job, timeout_s=ASK_S))
    chip, mac, size = _CHIP.search(said), _MAC.search(said), _SIZE.search(said)
    if not chip or not mac:
        raise PeerError("esptool does not name the chip", where=port, next_step=INSTALL.replace("install", "update", 1))
    mib = int(size[1]) / (1024 if size[2] == "KB" else 1) if size else 0.0
    return Found(family=chip[1], flash_mib=mib, mark=hashlib.sha256(mac[1].lower().encode()).hexdigest()[:12])


def choose(catalogue: Mapping[str, Build], found: Found, board: Board, port: str) -> Build:
    """Give the image of a chip. InputError where it is not the chip the list names, or no image is for it or fits."""
    wanted = board.cells.get("chip")
    if wanted and wanted.upper().replace("-", "") != found.family.replace("-", ""):
        raise InputError(f"is an {found.family}, the list says {wanted[:20]}", where=port, next_step="swap the boards")
    build = catalogue.get(found.family)
    if build is None:
        what = f"is an {found.family}, the catalogue has images for {', '.join(catalogue)}"
        raise InputError(what, where=port, next_step="take another board, or a release that has its image")
    if found.flash_mib and build.end > found.flash_mib * _MIB:
        what = f"has {found.flash_mib:g} MiB of flash, the image needs {build.end / _MIB:.1f}"
        raise InputError(what, where=port, next_step="take a board with more flash")
    return build


def flash(port: str, build: Build, mode: Mode, job: Job, *, baud: int = BAUD) -> None:
    """Write a build and hold it against the chip's own MD5."""
    with _folder() as name:
        folder = Path(name)
        parts = build.parts if mode is Mode.FACTORY else _parts_to_update(port, build, folder, job)
        files = {folder / f"{part.offset:x}.bin": part.data for part in parts}
        write_files(files)
        arguments = [] if mode is Mode.UPDATE else ["--erase-all"]
        for part, path in zip(parts, files, strict=True):
            arguments += [hex(part.offset), str(path)]
        job.say("erasing" if mode is Mode.FACTORY else "writing")
        said = esptool(
            port,
            ["write-flash", *arguments],
            job,
            options=["--chip", build.chip.argument, "--baud", str(baud)],
            on_line=_progress(job, parts),
            timeout_s=WRITE_S,
        )
    if sum(_VERIFIED in line for line in said) < len(parts):
        raise PeerError("esptool did not verify every part", where=port, next_step="try again")
    job.say(f"{build.chip.family}: {build.version} written and verified")


def _folder() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="footfall-")
    except OSError as error:
        raise StorageError(
            f"no folder can be made ({error.strerror})", where=tempfile.gettempdir(), next_step="free some space"
        ) from error


def _parts_to_update(port: str, build: Build, folder: Path, job: Job) -> tuple[Part, ...]:
    """Give what to write; refuses a chip whose partitions are others. A blank chip has nothing to keep: all of it."""
    path = folder / "table.bin"
    esptool(port, ["read-flash", hex(TABLE_OFFSET), hex(TABLE_BYTES), str(path)], job, timeout_s=ASK_S)
    there, new = read_table(path.read_bytes()), build.table()
    if not there and not path.read_bytes().strip(b"\xff"):
        job.say("the chip is blank: nothing to keep")
        return build.parts
    if not new:
        raise InputError("the image has no partition table", where=port, next_step="use --factory")
    if there != new:
        raise InputError(
            "its partitions are others than the image's, so its data cannot be kept",
            where=port,
            next_step="footfall probe backup, then --factory",
        )
    return parts_for_update(build)


def _progress(job: Job, parts: Sequence[Part]) -> Callable[[str], None]:
    """Turn esptool's share of each part into the share of all."""
    total, written, at = sum(len(part.data) for part in parts), 0, 0

    def on_line(line: str) -> None:
        nonlocal written, at
        share = _SHARE.search(line)
        if line.startswith("Wrote ") and at < len(parts):
            written, at = written + len(parts[at].data), at + 1
        elif line.startswith("Writing at") and share and at < len(parts):
            job.say("writing", (written + len(parts[at].data) * float(share[1]) / 100) / total)

    return on_line


def esptool(
    port: str,
    command: Sequence[str],
    job: Job,
    *,
    options: Sequence[str] = (),
    on_line: Callable[[str], None] = lambda line: None,
    timeout_s: float,
) -> list[str]:
    """Run esptool on a port and give what it said. Raises what its complaint means."""
    if importlib.util.find_spec("esptool") is None:
        raise UsageError("esptool is not installed", where="footfall probe", next_step=INSTALL)
    argv = [sys.executable, "-m", "esptool", "--port", port, *options, *command]
    code, said = run_program(argv, on_line=on_line, check=job.check, timeout_s=timeout_s)
    if code != 0:
        raise explain(said, port)
    return said


def explain(said: Sequence[str], port: str) -> HostkitError:
    """Turn esptool's last words into an error with its cause and next step."""
    return complaints.explain("esptool", said, port, _COMPLAINTS)
