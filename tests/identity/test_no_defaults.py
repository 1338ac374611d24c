"""No default password and no public default host anywhere: in options, code, configuration, firmware or documents."""

import ipaddress
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hostkit.cli.main import cli

ROOT = Path(__file__).parents[2]
SEARCHED = ("*.py", "*.md", "*.toml", "*.yaml", "*.json", "*.conf", "*.service", "*.sh", "*.html", "*.js", "*.c", "*.h")
BROKER = re.compile(r"\b(?:mqtts?|wss?|tcp)://\[?([A-Za-z0-9._:-]+)")
PRIVATE = re.compile(r"[A-Za-z0-9_-]+|.+\.(?:local|example|invalid|test)")  # no dot: no host of the internet
PUBLIC_BROKERS = re.compile(
    r"test\.mosquitto\.org|hivemq\.com|emqx\.io|iot\.eclipse\.org|mqtt\.eclipseprojects|shiftr\.io"
)
# A word given to something named like a password: sentences about one are none.
PASSWORD = re.compile(r"""(?i)(?:\b|_)(?:password|passwd|passphrase|psk|api_?key)["']?\s*[:=]\s*["'][^"'{}$<\s]+["']""")


def ours() -> Iterator[tuple[Path, str]]:
    """Every file of ours that is tracked, but tests."""
    listed = subprocess.run(["git", "ls-files", "-z", *SEARCHED], cwd=ROOT, capture_output=True, text=True, check=False)
    names = [name for name in listed.stdout.split("\0") if name and not name.startswith("tests/")]
    if not names:  # not a clone: look at what is there
        names = [str(path.relative_to(ROOT)) for path in (ROOT / "hostkit").rglob("*.py")]
    for name in names:
        path = ROOT / name
        if path.is_file():
            yield path, path.read_text("utf-8", "replace")


def is_private(host: str) -> bool:
    host = host.strip(".:-")
    if not host:
        return True  # three dots
    try:
        address = ipaddress.ip_address(host.split(":")[0] if host.count(":") == 1 else host)
    except ValueError:
        return bool(PRIVATE.fullmatch(host.partition(":")[0]))
    return address.is_private


def options(command: click.Command, path: str = "footfall") -> Iterator[tuple[str, click.Parameter]]:
    yield from ((path, parameter) for parameter in command.params)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner
            yield from options(inner, f"{path} {name}")


def test_no_option_has_a_host_of_the_internet_or_a_password_as_its_default() -> None:
    seen = 0
    for path, parameter in options(cli):
        seen += 1
        default = str(parameter.default or "")
        named = re.search(r"password|secret|token", parameter.name or "")
        assert not named or isinstance(parameter.type, click.Path), f"{path}: {parameter.name} is in argv"
        for host in BROKER.findall(default) + re.findall(r"^([a-z0-9.-]+\.[a-z]{2,}|[\d.]+):\d+$", default):
            assert is_private(host), f"{path}: {parameter.name} defaults to {host}"
    assert seen > 100


def test_no_file_names_a_broker_of_the_internet() -> None:
    found = {path: BROKER.findall(text) for path, text in ours()}
    assert sum(map(len, found.values())) > 5
    public = {
        f"{path.relative_to(ROOT)}: {host}" for path, hosts in found.items() for host in hosts if not is_private(host)
    }
    public |= {str(path.relative_to(ROOT)) for path, text in ours() if PUBLIC_BROKERS.search(text)}
    assert not public


def test_no_file_holds_a_password() -> None:
    held = [f"{path.relative_to(ROOT)}: {match[0]}" for path, text in ours() if (match := PASSWORD.search(text))]
    assert not held


@pytest.mark.parametrize(
    ("text", "caught"),
    [("mqtt://test.mosquitto.org:1883", True), ("mqtts://8.8.8.8:8883", True), ("mqtts://hub.local:8883?ca=x", False)],
)
def test_what_it_looks_for_is_caught(text: str, caught: bool) -> None:
    assert any(not is_private(host) for host in BROKER.findall(text)) is caught
    assert bool(PASSWORD.search('wifi_password = "secret1"'))
    assert not PASSWORD.search("password=args.password")
