"""Firmware files onto a board that runs MicroPython: by mpremote as a program, or as one LittleFS image by esptool.

What is there is read back and compared. main.py goes first away and comes last, when all else is compared: a board half
done does not start, and one that starts is whole. Settings and spool are left alone by mpremote, and erased by an
image, which is refused where there are any.
"""

import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from hostkit.errors import InputError, PeerError, StorageError, UsageError
from hostkit.install.complaints import Complaint, explain
from hostkit.install.firmware import MAIN, PACKAGE, Files, compiled
from hostkit.install.flash import ASK_S, BAUD, INSTALL, WRITE_S, detect, esptool, port_of
from hostkit.install.fleet import Job, Step
from hostkit.install.images import SECTOR_BYTES, TABLE_BYTES, TABLE_OFFSET, Partition, read_table
from hostkit.install.ports import TAKE_RULE
from hostkit.install.serialboard import SerialBoard
from hostkit.io.files import write_files
from hostkit.io.program import run_program

COPY_S = 300.0
_ANSWER = "footfall:"
_VFS = "vfs"
_LFS2_DISK = 0x0002_0000  # what MicroPython's lfs2 reads
_LFS_MAGIC = b"littlefs"

# On the board. It has hashlib and os in every image with a file system. Answers are lines `footfall:KEY VALUE`.
_ASK = """
import os,sys
print('footfall:mpy',getattr(sys.implementation,'_mpy',0))
print('footfall:platform',sys.platform)
try:
    for n in os.listdir('PACKAGE'): print('footfall:there',n)
except OSError: pass
"""
_CLEAR = """
import os
def gone(n):
    try: os.remove(n)
    except OSError: pass
gone('main.py')
for n in STALE: gone('PACKAGE/'+n)
try: os.mkdir('PACKAGE')
except OSError: pass
print('footfall:cleared yes')
"""
_SUMS = """
import hashlib,os
b=bytearray(1024)
for n in ['main.py']+['PACKAGE/'+n for n in os.listdir('PACKAGE')]:
    h=hashlib.sha256()
    try:
        with open(n,'rb') as f:
            while 1:
                k=f.readinto(b)
                if not k: break
                h.update(memoryview(b)[:k])
    except OSError: continue
    print('footfall:'+n,''.join('%02x'%x for x in h.digest()))
print('footfall:end yes')
"""
_NEXT_BOARD = "press its reset button, or unplug it and plug it in again, and try again"
_COMPLAINTS = (
    Complaint(
        r"failed to access|Errno 16|exclusively",
        PeerError,
        "the port is busy or gone",
        "close the program that has it open (footfall probe ports names it)",
    ),
    Complaint(r"Errno 13|Permission denied", PeerError, "you may not open it", TAKE_RULE),
    Complaint(
        r"could not enter raw repl|timeout waiting",
        PeerError,
        "no MicroPython answers",
        "flash it: footfall probe flash; if it runs a program that does not stop, " + _NEXT_BOARD,
    ),
    Complaint(
        r"Errno 28|ENOSPC", StorageError, "the board's file system is full", "flash it: footfall probe flash --factory"
    ),
    Complaint(r"MemoryError|ENOMEM", PeerError, "the board's memory is full", _NEXT_BOARD),
    Complaint(
        r"Errno 5\]|Input/output error|device disconnected|readiness to read|ClearCommError",
        PeerError,
        "the board was unplugged",
        "plug it in again and start over; it does not start half done",
    ),
    Complaint(
        r"raw paste|could not exec|unexpected read",
        PeerError,
        "the line garbles what is sent",
        "use a shorter cable that carries data, and try again",
    ),
)


def put_step(files: Files, *, plain: bool = False) -> Step:
    """Give the step `put-app` by mpremote. Facts: port, files, bytes, mpy."""

    def put(job: Job) -> dict[str, str]:
        port = port_of(job)
        with tempfile.TemporaryDirectory(prefix="footfall-") as name:
            return _put(port, files, Path(name), job, plain=plain)

    return Step(name="put-app", run=put, inputs=lambda board: f"{files.digest} {'plain' if plain else 'compiled'}")


def image_step(files: Files, *, erase: bool, baud: int = BAUD) -> Step:
    """Give the step `put-app` by a LittleFS image; `erase`: also where a file system is. Facts: port, files, bytes."""

    def put(job: Job) -> dict[str, str]:
        port = port_of(job)
        found = detect(port, job)
        with tempfile.TemporaryDirectory(prefix="footfall-") as name:
            vfs = _find_vfs(port, Path(name), job, erase=erase)
            path = Path(name) / "vfs.bin"
            write_files({path: littlefs_image(files, vfs.size)})
            job.say("writing the file system")
            chip = found.family.lower().replace("-", "")
            esptool(
                port,
                ["write-flash", hex(vfs.offset), str(path)],
                job,
                options=["--chip", chip, "--baud", str(baud)],
                timeout_s=WRITE_S,
            )
        return {"port": port, **_facts(files)}

    return Step(name="put-app", run=put, inputs=lambda board: f"{files.digest} image")


def littlefs_image(files: Files, size: int) -> bytes:
    """Make a LittleFS of `size` bytes that holds the files. StorageError where they do not fit."""
    if importlib.util.find_spec("littlefs") is None:
        raise UsageError("littlefs-python is not installed", where="footfall probe put-app", next_step=INSTALL)
    littlefs = importlib.import_module("littlefs")
    system = littlefs.LittleFS(
        block_size=SECTOR_BYTES, block_count=size // SECTOR_BYTES, prog_size=256, disk_version=_LFS2_DISK
    )
    try:
        for name, data in files.contents.items():
            if "/" in name:
                system.makedirs(name.rpartition("/")[0], exist_ok=True)
            with system.open(name, "wb") as file:
                file.write(data)
    except littlefs.LittleFSError as error:
        what = f"the firmware's {sum(map(len, files.contents.values())):,} bytes do not fit"
        raise StorageError(what, where=f"{_VFS} of {size:,}", next_step="use an image with more room for it") from error
    return bytes(system.context.buffer)


def _put(port: str, files: Files, folder: Path, job: Job, *, plain: bool) -> dict[str, str]:
    job.say("asking MicroPython")
    try:
        told = _ask(port, _ASK, job)
    except PeerError:
        if not (job.tried and _starts(port)):
            raise
        job.say("it had its files before it was cut off")
        return {"port": port, "app": files.digest}
    chosen = files if plain else compiled(files, int(told.get("mpy", ["0"])[0]), folder)
    wanted = {name.rpartition("/")[2] for name in chosen.contents}
    stale = [name for name in told.get("there", []) if name not in wanted]
    write_files({folder / "board" / name: data for name, data in chosen.contents.items()})
    _ask(port, _CLEAR.replace("STALE", repr(stale)), job)
    done = 0

    def on_line(line: str) -> None:
        nonlocal done
        if line.startswith("cp "):
            done += 1
            job.say("copying", min(done / len(chosen.contents), 1.0))

    inside = {name: str(folder / "board" / name) for name in chosen.contents if name != MAIN}
    _mpremote(port, ["fs", "cp", *inside.values(), f":{PACKAGE}/"], job, on_line)
    job.say("reading back")
    _compare(inside, chosen, _ask(port, _SUMS, job), port)
    copy = ["fs", "cp", str(folder / "board" / MAIN), f":{MAIN}", "+"]
    _compare(chosen.contents, chosen, _ask(port, _SUMS, job, before=copy), port)
    if told.get("platform") == ["esp32"]:
        _mpremote(port, ["reset"], job)
    job.say(f"{len(chosen.contents)} files put and read back" + (f", compiled ({chosen.mpy})" if chosen.mpy else ""))
    return {"port": port, **_facts(chosen)}


def _facts(files: Files) -> dict[str, str]:
    total = sum(map(len, files.contents.values()))
    return {"files": str(len(files.contents)), "bytes": str(total), "mpy": files.mpy, "app": files.digest}


def _starts(port: str) -> bool:
    """Tell whether Footfall runs on a board: main.py is there, which comes last."""
    board = SerialBoard(port)
    try:
        board.meet()
    except PeerError:
        return False
    finally:
        board.close()
    return True


def _compare(names: Collection[str], files: Files, there: dict[str, list[str]], port: str) -> None:
    """Hold what is there against those files of `names`; PeerError names what is wrong, missing or too much."""
    sums = files.sums
    wrong = [name for name in names if there.get(name) != [sums[name]]]
    wrong += [name for name in there if name not in names and name != "end"]
    if wrong:
        what = f"the board does not hold what was sent: {', '.join(wrong)[:120]}"
        raise PeerError(what, where=port, next_step="run the same command again; if it recurs take another board")


def _find_vfs(port: str, folder: Path, job: Job, *, erase: bool) -> Partition:
    """Find where the file system goes; refuses one that is there."""
    path = folder / "read.bin"
    esptool(port, ["read-flash", hex(TABLE_OFFSET), hex(TABLE_BYTES), str(path)], job, timeout_s=ASK_S)
    vfs = next((one for one in read_table(path.read_bytes()) if one.label == _VFS), None)
    if vfs is None:
        raise PeerError("has no partition for files", where=port, next_step="flash it first: footfall probe flash")
    esptool(port, ["read-flash", hex(vfs.offset), hex(2 * SECTOR_BYTES), str(path)], job, timeout_s=ASK_S)
    if _LFS_MAGIC in path.read_bytes() and not erase:
        raise InputError(
            "holds a file system already; an image would erase its settings",
            where=port,
            next_step="put the files by mpremote (without --littlefs), or say --erase",
        )
    return vfs


def _ask(port: str, code: str, job: Job, before: Sequence[str] = ()) -> dict[str, list[str]]:
    """Run code on the board, behind other commands, and give what it answers, by key."""
    answers: dict[str, list[str]] = {}
    for line in _mpremote(port, [*before, "exec", code.replace("PACKAGE", PACKAGE)], job):
        key, _, value = line.removeprefix(_ANSWER).partition(" ")
        if line.startswith(_ANSWER):
            answers.setdefault(key, []).append(value)
    if not answers:
        raise PeerError("MicroPython does not answer as asked", where=port, next_step=_NEXT_BOARD)
    return answers


def _mpremote(
    port: str, command: Sequence[str], job: Job, on_line: Callable[[str], None] = lambda line: None
) -> list[str]:
    if importlib.util.find_spec("mpremote") is None:
        raise UsageError("mpremote is not installed", where="footfall probe put-app", next_step=INSTALL)
    argv = [sys.executable, "-m", "mpremote", "connect", port, *command]
    code, said = run_program(argv, on_line=on_line, check=job.check, timeout_s=COPY_S)
    if code != 0:
        raise explain("mpremote", said, port, _COMPLAINTS)
    return said
