"""Updates over the link: a manifest signed with the release key, its image into the other slot, kept only if well.

Refuses: another signature, another chip, a build that is not newer, a size the slot has not, bytes out of order, a
wrong hash. Until the last step nothing of the running image changes. After it the new one must reach the hub and be
well for CONFIRM_S, or the boot loader takes the old one again.
"""

import json
from binascii import a2b_base64, hexlify, unhexlify
from hashlib import sha256

from micropython import const

import sensor

BLOCK_BYTES = const(4096)
MOST_MANIFEST = const(1024)
CONFIRM_S = 120
GIVE_UP_S = 900
_BLOCK_SIZE, _BLOCK_COUNT = 5, 4  # ioctl operations of a block device


class UpdateError(ValueError):
    """Why the update was refused."""


class Update:
    """`partition` is the port's Partition class, `verify(key, digest, signature)` ECDSA P-256, `chip` as `esp32s3`."""

    def __init__(self, partition, verify, public_key: bytes, chip: str, state, counts, note, restart) -> None:
        self._partition = partition
        self._verify = verify
        self.public_key = public_key  # 65 bytes; none: no update is taken
        self._chip = chip
        self._state = state
        self._counts = counts
        self._note = note
        self._restart = restart
        self._taking: tuple | None = None  # manifest, slot and hash so far of the image that is coming
        self._block = bytearray(0)
        self.offset = 0
        self.pending = False  # this image is on trial
        self._look_back()

    @property
    def running(self) -> bool:
        """Tell whether an image is being taken."""
        return self._taking is not None

    def step(self, data: dict) -> dict[str, object]:
        """Take one command: `begin` (manifest, signature), `data` (offset, data in base64), `end`. UpdateError."""
        try:
            stage = data.get("step")
            if stage == "begin":
                self._begin(data["manifest"], unhexlify(data["signature"]))
            elif stage == "data":
                self._data(data.get("offset", 0), a2b_base64(data["data"]))
            elif stage == "end":
                self._end()
            else:
                raise UpdateError("step: begin, data or end")
        except (ValueError, KeyError, TypeError, OSError) as error:
            self._counts.drop("update_refused")
            self._note("update refused: " + str(error))
            if not isinstance(error, OutOfOrderError):
                self._forget()
            raise UpdateError(str(error))
        return {"update": {"offset": self.offset}}

    def confirm(self) -> None:
        """The new image is well: keep it."""
        if self.pending:
            self._partition.mark_app_valid_cancel_rollback()
            self.pending = False
            self._state.put("update", 0)
            self._counts.did("updates_kept")
            self._note("update kept")

    def _begin(self, text: object, signature: bytes) -> None:
        self._forget()
        if not isinstance(text, str) or len(text) > MOST_MANIFEST:
            raise UpdateError("manifest: too long")
        if len(self.public_key) != 65:
            raise UpdateError("this image has no release key")
        if not self._verify(self.public_key, sha256(text.encode()).digest(), signature):
            raise UpdateError("signature: does not verify")
        manifest = json.loads(text)
        slot = self._partition(self._partition.RUNNING).get_next_update()
        self._check(manifest, slot.ioctl(_BLOCK_COUNT, 0) * slot.ioctl(_BLOCK_SIZE, 0))
        self._taking, self.offset = (manifest, slot, sha256()), 0
        self._block = bytearray(BLOCK_BYTES)

    def _check(self, manifest: object, room: int) -> None:
        if not isinstance(manifest, dict):
            raise UpdateError("manifest: no object")
        if manifest.get("chip") != self._chip:
            raise UpdateError(f"chip: for another chip, this is {self._chip}")
        build, size, digest = manifest.get("build"), manifest.get("size"), manifest.get("sha256")
        if not isinstance(build, int) or build <= sensor.BUILD:
            raise UpdateError(f"build: not newer than {sensor.BUILD}")
        if not isinstance(size, int) or not 0 < size <= room:
            raise UpdateError(f"size: not in 1..{room}")
        if not isinstance(digest, str) or len(digest) != 64:
            raise UpdateError("sha256: missing")

    def _begun(self) -> tuple:
        if self._taking is None:
            raise UpdateError("nothing was begun")
        return self._taking

    def _data(self, offset: object, data: bytes) -> None:
        manifest, slot, digest = self._begun()
        if offset != self.offset:
            raise OutOfOrderError(f"offset: {self.offset} is next")
        if self.offset + len(data) > manifest["size"]:
            raise UpdateError("data: more than the manifest says")
        digest.update(data)
        view = memoryview(data)
        while len(view):
            at = self.offset % BLOCK_BYTES
            taken = min(BLOCK_BYTES - at, len(view))
            self._block[at : at + taken] = view[:taken]
            self.offset += taken
            view = view[taken:]
            if self.offset % BLOCK_BYTES == 0:
                slot.writeblocks(self.offset // BLOCK_BYTES - 1, self._block)

    def _end(self) -> None:
        manifest, slot, digest = self._begun()
        if self.offset != manifest["size"]:
            raise OutOfOrderError(f"offset: {self.offset} is next")
        rest = self.offset % BLOCK_BYTES
        if rest:
            for at in range(rest, BLOCK_BYTES):
                self._block[at] = 0xFF
            slot.writeblocks(self.offset // BLOCK_BYTES, self._block)
        if hexlify(digest.digest()).decode() != manifest["sha256"]:
            raise UpdateError("sha256: does not match")
        slot.set_boot()
        self._state.put("update", manifest["build"])
        self._forget()
        self._restart("update")

    def _forget(self) -> None:
        self._taking = None
        self._block = bytearray(0)
        self.offset = 0

    def _look_back(self) -> None:
        """See what became of an update before this boot."""
        wanted = self._state.get("update")
        if wanted == sensor.BUILD:
            self.pending = True
        elif wanted:
            self._counts.drop("update_rolled_back")
            self._note(f"update to build {wanted} was rolled back")
            self._state.put("update", 0)


class OutOfOrderError(UpdateError):
    """Data may be sent again from where it is; nothing is lost."""
