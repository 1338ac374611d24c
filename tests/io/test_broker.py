"""Both brokers as the demo starts them: private, on a free port, back after SIGKILL on the same one."""

import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from hostkit.errors import PeerError, UsageError
from hostkit.io.broker import BrokerPlan, plan_broker
from hostkit.io.process import Child, Children

KINDS = [
    pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")),
    "amqtt",
]


@pytest.fixture(params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[BrokerPlan, Child]]:
    plan = plan_broker(tmp_path / "broker", kind=request.param)
    child = Child("broker", plan.argv, tmp_path)
    try:
        child.wait_until(plan.accepts, 20)
        yield plan, child
    finally:
        child.stop()


def connected(plan: BrokerPlan, name: str, *, clean: bool = True) -> paho.Client:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
    ready = threading.Event()
    client.on_connect = lambda *unused: ready.set()
    client.connect("127.0.0.1", plan.port)
    client.loop_start()
    assert ready.wait(60)
    return client


def left(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()


def hear(plan: BrokerPlan, topic: str) -> bytes | None:
    client, heard, got = connected(plan, "listener"), threading.Event(), []
    client.on_message = lambda _client, _data, message: (got.append(message.payload), heard.set())
    client.subscribe(topic, 1)
    heard.wait(3)
    left(client)
    return got[0] if got else None


def test_delivers_and_is_private(running: tuple[BrokerPlan, Child]) -> None:
    plan, child = running
    client = connected(plan, "publisher")
    sent = client.publish("a/b", b"kept", 1, retain=True)
    sent.wait_for_publish(5)
    assert sent.is_published()
    left(client)
    assert hear(plan, "a/b") == b"kept"
    if plan.kind == "mosquitto":
        folder = Path(plan.argv[-1]).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(Path(plan.argv[-1]).stat().st_mode) == 0o600
    assert plan.kind in plan.remark
    assert plan.url in plan.remark
    assert child.stop() == 0


def test_listens_on_loopback_only(running: tuple[BrokerPlan, Child]) -> None:
    plan, _ = running
    with socket.socket() as outside:
        outside.settimeout(1)
        assert outside.connect_ex(("127.0.0.2", plan.port)) != 0  # loopback, but not the address it was given


def test_comes_back_on_its_port_after_sigkill(running: tuple[BrokerPlan, Child]) -> None:
    plan, child = running
    child.kill()
    assert not plan.accepts()
    child.restart()
    child.wait_until(plan.accepts, 20)
    left(connected(plan, "again"))


@pytest.mark.needs("mosquitto")
def test_mosquitto_finds_its_persistence_again(tmp_path: Path) -> None:
    plan = plan_broker(tmp_path / "broker", kind="mosquitto")
    child = Child("broker", plan.argv, tmp_path)
    try:
        child.wait_until(plan.accepts, 20)
        client = connected(plan, "publisher")
        client.publish("a/b", b"kept", 1, retain=True).wait_for_publish(5)
        left(client)
        saved = tmp_path / "broker" / "mosquitto.db"
        child.wait_until(saved.exists, 10)  # autosave_interval 1
        child.kill()
        child.restart()
        child.wait_until(plan.accepts, 20)
        assert hear(plan, "a/b") == b"kept"
    finally:
        child.stop()


def test_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match=r"^broker: port \d+: is in use"):
            plan_broker(tmp_path, port=taken.getsockname()[1])


def test_unknown_broker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'rabbit' is no broker we know"):
        plan_broker(tmp_path, kind="rabbit")


def test_ends_with_its_parent(tmp_path: Path) -> None:
    """A parent that is killed takes its children with it."""
    script = (
        "import sys, time, pathlib; from hostkit.io.process import Child\n"
        "child = Child('sleeper', ['/bin/sleep', '60'], pathlib.Path(sys.argv[1]))\n"
        "print(child.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1])


def test_ctrl_c_while_a_child_starts_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Pressed(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Pressed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Children() as children:
            children.start("sleeper", ["/bin/sleep", "60"], tmp_path)
        assert len(started) == 1
        assert started[0].returncode is not None, "nobody stopped it"
    finally:
        signal.signal(signal.SIGINT, before)
        for process in started:
            process.kill()


def wait_for(true: object) -> None:
    ticks = threading.Event()
    for _ in range(1200):
        if true():  # type: ignore[operator]
            return
        ticks.wait(0.05)
    raise AssertionError("did not happen within 60 s")


def test_what_ended_says_its_last_line(tmp_path: Path) -> None:
    child = Child("probe", [sys.executable, "-c", "import sys; sys.exit('footfall: a: b; c \\x1b[31m')"], tmp_path)
    with pytest.raises(PeerError, match=r"^probe: ended with code 1 \(a: b; c \?\[31m\)"):
        child.wait_until(lambda: False, 10)
