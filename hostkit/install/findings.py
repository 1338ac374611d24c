"""What a check of a site file says: where, what, what to do. Computes nothing."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """A problem makes figures wrong or missing; advice would make them better."""

    PROBLEM = "problem"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: `where` is a key of site.toml, with the id of what it is about."""

    level: Level
    where: str
    what: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.next_step}"


def problem(where: str, what: str, next_step: str) -> Finding:
    """Make a finding that must be put right."""
    return Finding(level=Level.PROBLEM, where=where, what=what, next_step=next_step)


def advice(where: str, what: str, next_step: str) -> Finding:
    """Make a finding that may be left."""
    return Finding(level=Level.ADVICE, where=where, what=what, next_step=next_step)
