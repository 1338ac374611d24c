"""The real command in a process of its own, as a user runs it."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from hostkit.cli.main import main; main()")
ONE_LINE = re.compile(r"footfall: (?P<where>.+?): (?P<what>.+); (?P<next_step>.+)\n")


def footfall(
    *arguments: str | Path, stdout: int | None = subprocess.PIPE, prefix: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `footfall` with `arguments`; a traceback is a failure whatever the test expects."""
    done = subprocess.run(
        [*prefix, *COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refused(done: subprocess.CompletedProcess[str], exit_code: int, pattern: str) -> None:
    """Assert one line `footfall: where: what; next step` that matches, the exit code, and nothing on stdout."""
    assert done.returncode == exit_code, done.stderr
    assert ONE_LINE.fullmatch(done.stderr), done.stderr
    assert re.search(pattern, done.stderr), done.stderr
    assert not done.stdout
