"""The error tree: every mistake a user or a peer can make, with its exit code. Defects of ours are not in it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the `footfall` command returns to the shell."""

    OK = 0
    DEFECT = 1  # an error in Footfall itself: a traceback, please report it
    USAGE = 2  # click's own code for a wrong option or argument
    INPUT = 3  # a capture, batch or table that cannot be read
    CONFIG = 4  # site.toml is broken or contradicts itself
    STORAGE = 5  # disk full, no permission, cannot write
    PEER = 6  # a broker, probe, hub or collector refused or broke the contract
    FOUND = 7  # an audit found something to be repaired
    INTERRUPTED = 130


class HostkitError(Exception):
    """Root of all expected errors: `what` is wrong, `where`, and the `next_step` for the person reading it."""

    exit_code: ExitCode = ExitCode.DEFECT

    def __init__(self, what: str, *, where: str, next_step: str) -> None:
        super().__init__(what, where, next_step)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.next_step}"


class UsageError(HostkitError):
    """The caller asked for something that makes no sense."""

    exit_code = ExitCode.USAGE


class InputError(HostkitError):
    """A capture, batch, row or table is not what it should be."""

    exit_code = ExitCode.INPUT


class ConfigError(HostkitError):
    """The site's configuration is broken; `where` holds the path to the key."""

    exit_code = ExitCode.CONFIG


class StorageError(HostkitError):
    """Reading or writing the disk failed."""

    exit_code = ExitCode.STORAGE


class PeerError(HostkitError):
    """The other side of a connection refused, vanished or broke the contract."""

    exit_code = ExitCode.PEER
