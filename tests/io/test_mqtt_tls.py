"""TLS to a real broker: both sides show certificates, and a stranger on either side is refused."""

import queue
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hostkit.errors import ConfigError
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Item, Up, parse_url, take
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._cert = _certificate(name, self._key, name, self._key, ca=True)
        self.ca = self._write(f"{name}.pem", self._cert.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Give certificate and key of `name`, good for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = _certificate(name, key, self._name, self._key, ca=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (
            self._write(f"{self._name}-{name}.crt", cert.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{self._name}-{name}.key", private),
        )

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(signer, hashes.SHA256())
    )


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
def authority(folder: Path) -> Authority:
    return Authority(folder, "ours")


@pytest.fixture
def broker(folder: Path, authority: Authority) -> Iterator[Mosquitto]:
    cert, key = authority.issue("broker")
    lines = (
        f"cafile {authority.ca}",
        f"certfile {cert}",
        f"keyfile {key}",
        "require_certificate true",
        "use_identity_as_username true",
        "tls_version tlsv1.2",
        "user root",  # started by root, it would give up root and could not read a test's folder
    )
    broker = Mosquitto(folder, lines=lines).start()
    yield broker
    broker.stop()


def first(url: str, *subscriptions: tuple[str, int]) -> tuple[Item | None, Client, Inbox]:
    inbox: Inbox = queue.Queue(100)
    client = Client(parse_url(url), inbox, name="hub", client_id="hub", subscriptions=subscriptions)
    client.start()
    return take(inbox, 10), client, inbox


def test_hub_and_broker_that_know_each_other_talk(broker: Mosquitto, authority: Authority) -> None:
    cert, key = authority.issue("hub")
    url = f"mqtts://127.0.0.1:{broker.port}?ca={authority.ca}&cert={cert}&key={key}"
    came, client, inbox = first(url, ("a/b", 1))
    try:
        assert isinstance(came, Up)
        client.publish("a/b", b"sealed", qos=1)
        arrived = next(item for item in iter(lambda: take(inbox, 10), None) if isinstance(item, Arrived))
        assert bytes(arrived.payload) == b"sealed"
    finally:
        client.stop(0.4)


def test_a_key_others_may_read_is_refused_and_systemds_comes_first(
    folder: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = authority.issue("hub")
    url = parse_url(f"mqtts://127.0.0.1:1?ca={authority.ca}&cert={cert}&key={key}")
    key.chmod(0o644)
    with pytest.raises(ConfigError, match=r"ours-hub\.key: holds a secret that others may read .*; chmod 600"):
        Client(url, queue.Queue(1), name="hub", client_id="hub")
    given = folder / "credentials"
    given.mkdir()
    key.rename(given / key.name)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    Client(url, queue.Queue(1), name="hub", client_id="hub")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="cannot be read"):
        Client(url, queue.Queue(1), name="hub", client_id="hub")


# The client library leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stranger", ["broker", "hub without certificate", "hub of another authority"])
def test_strangers_are_refused(folder: Path, broker: Mosquitto, authority: Authority, stranger: str) -> None:
    theirs = Authority(folder, "theirs")
    cert, key = (theirs if stranger == "hub of another authority" else authority).issue("hub")
    ca = theirs.ca if stranger == "broker" else authority.ca
    identity = "" if stranger == "hub without certificate" else f"&cert={cert}&key={key}"
    came, client, _ = first(f"mqtts://127.0.0.1:{broker.port}?ca={ca}{identity}")
    client.stop(0.4)
    assert isinstance(came, Down)
    assert came.reason
    assert not client.connected
