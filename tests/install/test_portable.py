"""What an installer's laptop runs can be imported on Windows: nothing that only POSIX has is on its commands' way.

A process that has loaded every library once forgets ours, says it is Windows, loses the POSIX modules and imports all
again. Libraries are not judged: they know their systems.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
POSIX_ONLY = (
    "fcntl",
    "termios",
    "tty",
    "pty",
    "pwd",
    "grp",
    "resource",
    "syslog",
    "readline",
    "curses",
    "spwd",
    "crypt",
)
FAMILIES = ("probe", "site", "enrol", "bundle", "doctor", "calibrate", "contract")  # those of a laptop, if they exist
# `footfall --help` imports the module of every family.

AS_ON_WINDOWS = """
import builtins, ctypes, sys, types
import click
from hostkit.cli.main import Families, cli

posix_only, families = {posix_only!r}, {families!r}

def load(group, path, every):
    for name in group.list_commands(click.Context(group)):
        if every or name in families:
            command = group.get_command(click.Context(group), name)
            if isinstance(command, click.Group) and name in families:
                load(command, (*path, name), True)

load(cli, (), True)
kernels = {{name: module for name, module in sys.modules.items() if name.startswith("hostkit.core._")}}
for name in [name for name in sys.modules if name.split(".")[0] == "hostkit" and name not in kernels]:
    del sys.modules[name]
seen = set()
plain, library = builtins.__import__, ctypes.CDLL

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    by = (globals or {{}}).get("__name__", "")
    if by.split(".")[0] == "hostkit":
        seen.add(by)
        if name.split(".")[0] in posix_only:
            raise ImportError(f"{{by}} imports {{name}}, which Windows has not")
    return plain(name, globals, locals, fromlist, level)

def dll(name, *rest, **more):
    if name is None:
        raise TypeError("ctypes.CDLL(None): Windows has no such library")
    return library(name, *rest, **more)

sys.modules["msvcrt"] = types.ModuleType("msvcrt")  # is there on Windows
builtins.__import__, ctypes.CDLL, sys.platform = guarded, dll, "win32"
from hostkit.cli.main import cli
load(cli, (), True)
print(len(seen), *sorted(seen))
"""


def test_no_command_of_a_laptop_needs_posix_to_be_imported() -> None:
    script = AS_ON_WINDOWS.format(posix_only=POSIX_ONLY, families=FAMILIES)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = done.stdout.split()
    assert int(seen[0]) > 40
    assert {"hostkit.cli.site_init", "hostkit.install.sitefile", "hostkit.cli.enrol", "hostkit.io.memory"} <= set(seen)


def test_no_posix_module_is_imported_out_of_sight() -> None:
    """Within functions ruff forbids imports; `importlib.import_module` of a POSIX module would be such a way round."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "hostkit").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and any(isinstance(one, ast.Constant) and one.value in POSIX_ONLY for one in node.args[:1])
    ]
    assert not found


def test_open_and_lock_flags_of_posix_are_asked_for_with_care() -> None:
    """`os.O_CLOEXEC` and its like are AttributeErrors on Windows, and only when the line runs."""
    names = {"O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW", "geteuid", "getuid", "getgid", "fork"}
    folders = ("install", "field", "io", "identity", "config", "cli")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} os.{node.attr}"
        for folder in folders
        for path in sorted((ROOT / "hostkit" / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in names
    ]
    assert not [one for one in found if not one.startswith(ON_POSIX_ALONE)], found


ON_POSIX_ALONE = ("hostkit/io/process.py", "hostkit/identity/audit")  # processes of a hub; audits of a hub's own files
