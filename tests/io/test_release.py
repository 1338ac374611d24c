"""Releases as scripts/release lays them out: read, held against their signed text, and refused with the reason."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hostkit.errors import InputError
from hostkit.io.release import copied, read_release

SCRIPT = Path(__file__).parents[2] / "scripts" / "release"


def image(chip: int, body: bytes) -> bytes:
    """Give an image with the header of a chip (its id at byte 12)."""
    return bytes([0xE9]) + bytes(11) + bytes([chip]) + bytes(11) + body


def lay_out(folder: Path, *, sign: bool = True) -> tuple[Path, ec.EllipticCurvePrivateKey]:
    """Make a release of two chips with the script."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    images = []
    for chip, name in ((0, "esp32"), (9, "s3")):
        (folder / name).mkdir()
        (folder / name / "micropython.bin").write_bytes(image(chip, b"application" * 99))
        images.append(folder / name / "firmware.bin")
        images[-1].write_bytes(image(chip, b"boot loader and application"))
    options = ["--sign", str(folder / "key.pem"), "--build", "5"] if sign else []
    out = folder / "release"
    command = [sys.executable, str(SCRIPT), *map(str, images), "--version", "0.5.0", "--out", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return out, key


def test_a_release_is_read_and_its_signature_verifies(tmp_path: Path) -> None:
    folder, key = lay_out(tmp_path)
    release = read_release(folder)
    assert (release.version, sorted(release.images)) == ("0.5.0", ["esp32", "esp32s3"])
    s3 = release.images["esp32s3"]
    assert s3.data == image(9, b"application" * 99)
    assert (s3.signed.build, s3.signed.sha256) == (5, sha256(s3.data).hexdigest())
    raw = bytes.fromhex(s3.signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.public_key().verify(der, s3.manifest.encode(), ec.ECDSA(hashes.SHA256()))
    checked = subprocess.run([sys.executable, str(SCRIPT), "--check", str(folder)], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_copy_holds_the_updates_and_no_more(tmp_path: Path) -> None:
    folder, _ = lay_out(tmp_path)
    files = copied(folder, tmp_path / "hub")
    assert sorted(path.name for path in files) == [
        "footfall-0.5.0-esp32-s3-update.bin", "footfall-0.5.0-esp32-update.bin", "manifest.json",
    ]  # fmt: skip
    (tmp_path / "hub").mkdir()
    for path, data in files.items():
        path.write_bytes(data)
    assert read_release(tmp_path / "hub") == read_release(folder)


def spoil(folder: Path, what: str) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    update = manifest["builds"][0]["update"]
    if what == "data":
        data = (folder / update["path"]).read_bytes()
        (folder / update["path"]).write_bytes(data[:-1] + b"x")
    elif what == "gone":
        (folder / update["path"]).unlink()
    elif what == "outside":
        update["path"] = "../key.pem"
    elif what == "chip":
        manifest["builds"][0]["chipFamily"] = "ESP32-C3"
    elif what == "signature":
        update["signature"] = "00"
    elif what == "text":
        update["manifest"] = "{}"
    path.write_text(json.dumps(manifest) if what != "cut" else "{")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("data", "is not what the signed text says"),
        ("gone", "is missing"),
        ("outside", "is no file name"),
        ("chip", "ESP32-C3: the signed text is for esp32"),
        ("signature", "is no release"),
        ("text", "the signed text is none"),
        ("cut", "is no release"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(tmp_path: Path, what: str, said: str) -> None:
    folder, _ = lay_out(tmp_path)
    spoil(folder, what)
    with pytest.raises(InputError, match=said) as refused:
        read_release(folder)
    assert refused.value.next_step


def test_a_release_without_updates_says_how_to_make_them(tmp_path: Path) -> None:
    folder, _ = lay_out(tmp_path, sign=False)
    with pytest.raises(InputError, match="no signed update") as refused:
        read_release(folder)
    assert "--sign" in refused.value.next_step
