"""The README's own snippets, run one after the other in an empty folder as a new user would."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import ROOT
from tests.consumers.node import node_modules
from tests.io.brokers import free_port

pytestmark = pytest.mark.needs("mosquitto", "mosquitto_sub", "node", "npm")
README = (ROOT / "README.md").read_text("utf-8")
SECTION = README.partition("## Listening in\n")[2].partition("\n## ")[0]
SNIPPETS = re.findall(r"```(\w+)\n(.*?)```", SECTION, re.DOTALL)
COMMAND = f'#!/bin/sh\nexec {sys.executable} -c "from hostkit.cli.main import main; main()" "$@"\n'


class User:
    """Somebody who copies and pastes. Their port is a free one, else nothing is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, str(free_port())
        self._started: list[subprocess.Popen[bytes]] = []
        program = folder / "bin" / "footfall"
        program.parent.mkdir()
        program.write_text(COMMAND)
        program.chmod(0o755)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {
            **os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NODE_PATH": str(node_modules()),
        }  # fmt: skip

    def paste(self, language: str, text: str) -> str:
        """Run a snippet and give what it printed; lines that end in & go on beside it."""
        text = text.replace("1883", self.port)
        if language != "sh":
            program = {"python": [sys.executable, "-c"], "js": ["node", "-e"]}[language]
            return self._run([*program, text])
        return "".join(self._line(line) for line in text.splitlines())

    def leave(self) -> None:
        """Stop what still runs."""
        for process in reversed(self._started):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)

    def _line(self, line: str) -> str:
        if not line.endswith("&"):
            return self._run(["sh", "-c", line])
        self._started.append(
            subprocess.Popen(
                ["sh", "-c", line.removesuffix("&")], cwd=self.folder, env=self._environment, start_new_session=True
            )
        )
        time.sleep(1.0)
        return ""

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    user = User(tmp_path)
    yield user
    user.leave()
    shutil.rmtree(tmp_path / "shop", ignore_errors=True)


def test_a_new_user_hears_the_shop_in_three_clients_and_two_languages_and_gets_an_answer(user: User) -> None:
    said = [user.paste(language, text) for language, text in SNIPPETS]
    assert [language for language, _ in SNIPPETS] == ["sh", "sh", "python", "js", "sh"]
    _, validated, python, javascript, rest = said
    assert re.fullmatch(r"[1-9]\d* messages, 0 refused\n", validated)
    assert re.fullmatch(r"inside now: [\d.]+ between [\d.]+ and [\d.]+\n", python)
    assert re.fullmatch(r"hour from \S+ footfall: [\d.]+ simulated\n", javascript)
    assert '"platform": "binary_sensor"' in rest
    assert re.search(r"replay: done\n  replayed: [1-9]", rest)
