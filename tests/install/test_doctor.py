"""The doctor: each finding with its fix; what is sent to support holds no secret, address or name of a network."""

import json
import stat
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostkit import __version__
from hostkit.config import dump_site
from hostkit.contract.messages import State
from hostkit.contract.probes import Probes, ProbeStatus, Step, Verdict
from hostkit.hub.ask import Envoy
from hostkit.identity.audit import Finding, Severity, audit
from hostkit.identity.broker import reload_broker
from hostkit.install import doctor_machine
from hostkit.install.doctor_machine import MACHINE, ports, serial_permissions
from hostkit.install.doctor_site import SITE, broker, certificates, probes_heard, site_file, versions
from hostkit.install.hubline import Told
from hostkit.install.patient import Answer, Patient
from hostkit.install.ports import Port
from hostkit.install.redact import redact
from hostkit.sim.plan import default_site
from tests.cli.command import footfall
from tests.identity import place
from tests.install.place import Shop

NOW_S = 1_800_000_000.0


def findings(patient: Patient, check) -> list[Finding]:  # type: ignore[no-untyped-def]
    (result,) = audit(patient, [check])
    assert result.skipped is None, result.skipped
    return list(result.findings)


def skipped(patient: Patient, check) -> str:  # type: ignore[no-untyped-def]
    (result,) = audit(patient, [check])
    return str(result.skipped)


def port(**values: object) -> Port:
    plain = {"path": "/dev/ttyUSB0", "bridge": "CP2102", "product": "", "usb": "", "allowed": True, "held_by": None}
    return Port(**{**plain, **values})  # type: ignore[arg-type]


def test_ports_that_cannot_be_used() -> None:
    there = [port(allowed=False), port(path="/dev/ttyUSB1", held_by="minicom (77)"), port(path="/dev/x", bridge=None)]
    patient = Patient(now_s=NOW_S, look_for_ports=lambda: there)
    (forbidden, *_) = findings(patient, serial_permissions)
    assert (forbidden.where, forbidden.what) == ("/dev/ttyUSB0", "you may not open it")
    assert "udev" in forbidden.next_step
    (busy,) = findings(patient, ports)
    assert (busy.where, busy.what) == ("/dev/ttyUSB1", "minicom (77) has it open")
    assert skipped(Patient(now_s=NOW_S, look_for_ports=list), ports) == "no board is plugged in"


def test_a_program_that_is_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "TOOLS", {"no-such-tool": (1, 0), "esptool": (99, 0), "segno": (1, 0)})
    missing, old = findings(Patient(now_s=NOW_S), doctor_machine.python)
    assert missing.what == "is not installed (1.0 or newer is needed)"
    assert "99.0 is needed" in old.what
    assert missing.next_step == old.next_step == "install it: pip install 'footfall[install]'"


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "LOW_MIB", 1 << 40)
    found = findings(Patient(now_s=NOW_S), doctor_machine.disk)
    assert found
    assert all(one.what.endswith("MiB are free") and one.next_step == "free some space" for one in found)


def test_a_clock_that_was_never_set() -> None:
    first = next(iter(doctor_machine.clock(Patient(now_s=1000.0))))
    assert (first.severity, first.what) == (Severity.CRITICAL, "its clock was never set")


def test_a_site_file_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(dump_site(replace(default_site(), probes=())))
    site = replace(default_site(), probes=())
    found = findings(Patient(now_s=NOW_S, site_path=path, site=site), site_file)
    assert any(one.what == "there are none" and one.where == "probes" for one in found)
    assert skipped(Patient(now_s=NOW_S), site_file) == "no site is named (--site)"
    path.write_text("tenant = 5\n")
    done = footfall("doctor", "--site", path, "--json")
    assert done.returncode == 7
    told = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "site-file"]
    assert told
    assert str(path) in told[0]["where"]


def test_every_check_is_told_and_every_finding_has_its_fix() -> None:
    done = footfall("doctor", "--json")
    told = json.loads(done.stdout)
    assert {one["check"] for one in told["checks"]} == {check.__name__.replace("_", "-") for check in (*MACHINE, *SITE)}
    assert all(one["next_step"] and one["what"] and one["where"] for one in told["findings"])


@pytest.mark.needs("mosquitto")
def test_a_shop_whose_probes_are_silent(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    try:
        shop.open()
        reload_broker(shop.authority.identities.broker_files.pid)  # it then knows the installer
        up = footfall("doctor", "--site", shop.site, "--broker", shop.broker, "--data", tmp_path, "--json")
    finally:
        shop.close()
    checks = {one["check"]: one for one in json.loads(up.stdout)["checks"]}
    assert (checks["broker"]["findings"], checks["broker"]["skipped"]) == (0, None)
    assert (checks["certificates"]["findings"], checks["certificates"]["skipped"]) == (0, None)
    (heard,) = [one for one in json.loads(up.stdout)["findings"] if one["check"] == "probes-heard"]
    assert "the hub has not heard any probe yet" in heard["what"]
    assert heard["next_step"].startswith("power a probe")
    assert up.returncode == 7


def test_certificates_that_end(tmp_path: Path) -> None:
    place.Shop(tmp_path)
    now_s = time.time()
    assert not findings(Patient(now_s=now_s, data=tmp_path), certificates)
    late = findings(Patient(now_s=now_s + 30 * 365 * 86_400, data=tmp_path), certificates)
    assert all(one.severity is Severity.CRITICAL and one.what.startswith("is over since") for one in late)
    assert any("footfall hub init" in one.next_step for one in late)
    early = findings(Patient(now_s=1e9, data=tmp_path), certificates)
    assert {one.next_step for one in early} == {"set this machine's clock"}
    (missing,) = {one.what for one in findings(Patient(now_s=now_s, credential=tmp_path / "none"), certificates)[1:]}
    assert missing == "is no certificate"


def test_what_the_hub_says_of_each_probe() -> None:
    def row(name: str, **values: object) -> ProbeStatus:
        plain = {"verdict": Verdict.PASS, "step": None, "heard_s": 2.0, "firmware": "0.2.0", "state": State.ONLINE}
        return ProbeStatus(id=name, **{**plain, **values})  # type: ignore[arg-type]

    rows = (
        row("till"), row("door", firmware="0.1.0"), row("window", firmware="0.2.0"),
        row("back", verdict=Verdict.FAIL, step=Step.KEY, firmware=None),
    )  # fmt: skip
    patient = Patient(now_s=NOW_S)
    told = Told(probes=Probes(at_s=int(NOW_S) - 90, name="x", rows=rows), live=True, at_s=0.0)
    patient.__dict__["_answer"] = Answer(told=told, release=__version__)
    (keyless,) = findings(patient, probes_heard)
    assert (keyless.where, keyless.what) == ("back", "it is connected and has no key yet")
    (old,) = findings(patient, versions)
    assert (old.where, old.what) == ("door", "runs 0.1.0, the others 0.2.0")
    patient.__dict__["_answer"] = Answer(told=told, release="9.8.7")
    apart, _ = findings(patient, versions)
    assert apart.what == f"the hub runs 9.8.7, this machine {__version__}"
    assert "install the newer release on both" in apart.next_step


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    def patient(url: str) -> Patient:
        return Patient(now_s=NOW_S, envoy=Envoy(broker=url, tenant="a", site="b", at=datetime.now(UTC)))

    (refused,) = findings(patient("mqtt://127.0.0.1:1"), broker)
    assert (refused.what, refused.next_step.split(":")[0]) == ("nothing listens there", "start the broker on the hub")
    (unknown,) = findings(patient("mqtts://no-such-host.invalid:8883"), broker)
    assert unknown.what == "no such name in this network"
    assert "no hub is named" in skipped(Patient(now_s=NOW_S), broker)


PLANTED = {
    "ssid": "Café Nordwind Gäste",
    "password": "korrekt-Pferd-7!",
    "mac": "a4:cf:12:9b:00:7e",
    "dashes": "A4-CF-12-9B-00-7F",
    "bare": "a4cf129b0080",
    "dotted": "a4cf.129b.0081",
    "v4": "192.168.178.44",
    "v6": "2001:db8:4b:1::17",
    "host": "hub.nordwind.example",
    "mail": "anna.schmidt@nordwind.example",
    "street": "Bahnhofstraße 12, Kassel",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
    "site key": "00112233445566778899aabbccddeeff",
    "code": "footfall-enrol://hub.local:8885/AB12-CD34-EF56",
    "login": "operator:geheim",
    "pem": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
}
LOG = f"""
12:00 joining '{PLANTED["ssid"]}' with --wifi-password {PLANTED["password"]}
12:01 settings {{"ssid": "{PLANTED["ssid"]}", "password": "{PLANTED["password"]}", "host": "{PLANTED["host"]}"}}
12:01 escaped \\"ssid\\": \\"{PLANTED["ssid"]}\\"
12:02 associated with {PLANTED["mac"]} ({PLANTED["dashes"]}, {PLANTED["bare"]}, {PLANTED["dotted"]})
12:03 lease {PLANTED["v4"]} and {PLANTED["v6"]}; {PLANTED["host"]} answers
12:04 Authorization: Bearer {PLANTED["token"]}
12:05 key={PLANTED["site key"]} code {PLANTED["code"]}
12:06 mqtts://{PLANTED["login"]}@{PLANTED["host"]}:8883 as {PLANTED["mail"]}
-----BEGIN PRIVATE KEY-----
{PLANTED["pem"]}
-----END PRIVATE KEY-----
12:07 lost {PLANTED["ssid"]} again; the network {PLANTED["ssid"]} is weak
"""
TABLE = f"probe,port,ssid,password\ntill,COM3,{PLANTED['ssid']},{PLANTED['password']}\n"


def leaks(text: str) -> list[str]:
    low = text.lower()
    parts = [*PLANTED.values(), "geheim", "anna.schmidt", "AB12-CD34", "eyJhbGci", "Nordwind", "Bahnhof", "Pferd"]
    return [part for part in parts if part.lower() in low]


def test_nothing_planted_is_left_and_the_rest_is_readable() -> None:
    site = f'name = "Schuhhaus, {PLANTED["street"]}"\n[[probes]]\nid = "till"\nposition_m = [1.0, 2.0, 2.5]\n'
    clean, removed = redact({"log": LOG, "boards.csv": TABLE, "site.toml": site})
    assert not leaks("\n".join(clean.values()))
    assert removed > 15
    assert "position_m = [1.0, 2.0, 2.5]" in clean["site.toml"]
    assert 'id = "till"' in clean["site.toml"]
    assert clean["boards.csv"].startswith("probe,port,ssid,password\ntill,COM3,[value ")
    assert "12:02 associated with [address 1] ([address 2], [address" in clean["log"]
    assert leaks(LOG)  # they were there


def test_a_network_that_is_named_in_passing_only() -> None:
    clean, _ = redact({"log": "joining 'Nordwind 5G'\nlost Nordwind 5G"})
    assert "Nordwind" not in clean["log"]


def test_the_same_thing_has_the_same_mark() -> None:
    clean, _ = redact({"a": "from 10.0.0.5 to 10.0.0.6", "b": "again 10.0.0.5; here 127.0.0.1, 12:30:45"})
    assert clean == {"a": "from [host 1] to [host 2]", "b": "again [host 1]; here 127.0.0.1, 12:30:45"}


def test_the_bundle(tmp_path: Path) -> None:
    site = replace(default_site(), name=f"Schuhhaus {PLANTED['street']}")
    (tmp_path / "site.toml").write_text(dump_site(site))
    (tmp_path / "hub.log").write_text(LOG)
    (tmp_path / "boards.csv").write_text(TABLE)
    out = tmp_path / "support.zip"
    done = footfall(
        "doctor", "--site", tmp_path / "site.toml", "--bundle", out,
        "--log", tmp_path / "hub.log", "--log", tmp_path / "boards.csv",
    )  # fmt: skip
    assert "things removed; look into it before you send it" in done.stderr
    with zipfile.ZipFile(out) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert texts.keys() == {"doctor.json", "machine.txt", "1-site.toml", "2-hub.log", "3-boards.csv"}
    for name, text in texts.items():
        assert not leaks(text), name
    assert "esptool" in texts["machine.txt"]
    assert json.loads(texts["doctor.json"])["checks"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
