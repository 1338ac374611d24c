"""Commands and answers as types: what may be asked of a hub or a probe in `cmd/<verb>`, and what `rsp/<id>` says.

Unlike other messages a command with a key its reader does not know is refused: who sent it wanted something done.
"""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType, field

from hostkit.contract.messages import (
    U32,
    AskKeys,
    Closed,
    Count,
    EpochS,
    GiveKeys,
    Hex,
    Id,
    KeySpan,
    Name,
    Seconds,
    Text,
)
from hostkit.model import PrivacyMode, Probe, Radio, Zone

Expires = Annotated[int, Meta(ge=0, le=4_102_444_800, description="seconds since 1970, UTC; at most an hour ahead")]
Channel = Annotated[int, Meta(ge=1, le=177)]
People = Annotated[int, Meta(ge=0, le=1_000_000)]
CalibrationId = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,48}$(?!\n)")]
SettingText = Annotated[str, Meta(max_length=2500)]  # a PEM certificate is the longest
Setting: TypeAlias = bool | int | SettingText | Annotated[tuple[Channel, ...], Meta(max_length=64)]


class Order(Closed, frozen=True, forbid_unknown_fields=True):
    """Base of what a person or a program asks: `id` names it once and for ever, it is not done after `expires`."""

    id: Id
    expires: Expires


class Describe(Order, frozen=True, tag="describe", tag_field="verb"):
    """Hub to probe: which elements make these unknown fingerprints?"""

    fingerprints: Annotated[tuple[U32, ...], Meta(min_length=1, max_length=64)]


class Replay(Order, frozen=True, tag="replay", tag_field="verb"):
    """Send the closed hours and days that begin in [`from`, `to`) again."""

    from_s: EpochS = field(name="from")
    to_s: EpochS = field(name="to")


class Recompute(Order, frozen=True, tag="recompute", tag_field="verb"):
    """Compute a local day and its closed hours again, with the configuration in force, as a new `rev`."""

    day: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$(?!\n)")]


class Flush(Order, frozen=True, tag="flush", tag_field="verb"):
    """To a hub at the end of a demo or replay: take what has arrived, close open visits, put them into the outbox."""


class SetThresholds(Order, frozen=True, tag="thresholds", tag_field="verb"):
    """Change keys of `[thresholds]` in site.toml; those not named stay."""

    values: Annotated[dict[Name, float], Meta(min_length=1, max_length=32)]


class SetZones(Order, frozen=True, tag="zones", tag_field="verb"):
    """Replace all zones."""

    zones: Annotated[tuple[Zone, ...], Meta(max_length=1000)]


class SetHop(Order, frozen=True, tag="hop", tag_field="verb"):
    """Change the channels a probe hops over and how long it stays on each."""

    probe: Id
    channels: Annotated[tuple[Channel, ...], Meta(max_length=64)]
    dwell_ms: Annotated[int, Meta(ge=20, le=60_000)]


class SetProbe(Order, frozen=True, tag="set-config", tag_field="verb"):
    """Replace what site.toml says of a probe; or, with its id alone, change the probe's own `settings`.

    Settings not named stay. The probe checks them whole, restarts on trial and goes back if its hub does not answer.
    """

    probe: Probe | Id
    settings: Annotated[dict[Name, Setting], Meta(min_length=1, max_length=32)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if isinstance(self.probe, str) == (self.settings is UNSET):
            raise ValueError("settings go with a probe's id, and only with it")


class SetPrivacy(Order, frozen=True, tag="privacy", tag_field="verb"):
    """Change the privacy mode."""

    mode: PrivacyMode


class Rollback(Order, frozen=True, tag="rollback", tag_field="verb"):
    """Make an earlier version of the configuration the newest."""

    version: Annotated[int, Meta(ge=1)]


class CalibrateStart(Order, frozen=True, tag="calibrate-start", tag_field="verb"):
    """Somebody begins to count people at the door now; or (`anchors`) probes beacon and hear each other now.

    Three connected probes with a place are needed for that. It is done once it has begun and over after the `seconds`
    of the answer; then health's `calibration` is new. Best while nobody is in the shop: the hub lets it be each night.
    """

    kind: Literal["door", "anchors"] = "door"


class CalibrateApply(Order, frozen=True, tag="calibrate-apply", tag_field="verb"):
    """The count is over: so many came in, and passed where somebody counted them; people per device follows.

    Or, instead of `entered`, a `calibration`: `anchors` for what probes last heard of each other, on that `floor` where
    several have probes, applied only if the error of held-out links falls; or the id of one, of whatever kind, that was
    taken back, to be in force again.
    """

    entered: People | UnsetType = UNSET
    passed: People | None = None
    calibration: CalibrationId | UnsetType = UNSET
    floor: Id | None = None

    def __post_init__(self) -> None:
        if (self.entered is UNSET) == (self.calibration is UNSET):
            raise ValueError("needs either `entered` or `calibration`")
        if (self.passed is not None and self.entered is UNSET) or (self.floor and self.calibration != "anchors"):
            raise ValueError("`passed` goes with `entered`, `floor` with `calibration` anchors")


class CalibrateUndo(Order, frozen=True, tag="calibrate-undo", tag_field="verb"):
    """Take a calibration back, of whatever kind: `count` is its id in `footfall calibrate list`."""

    count: CalibrationId


class RotateKey(Order, frozen=True, tag="rotate-key", tag_field="verb"):
    """Change the site key within minutes instead of at the rotation hour; open visits end."""


class Restart(Order, frozen=True, tag="restart", tag_field="verb"):
    """Restart a probe. Through the hub, like all commands to a probe that are not the hub's own."""

    probe: Id


class Show(StrEnum):
    """What an LED can be asked to show."""

    IDENTIFY = "identify"
    PASS = "pass"
    FAIL = "fail"


class Identify(Order, frozen=True, tag="identify", tag_field="verb"):
    """Make a probe show which one it is, or whether it passed, to somebody on a ladder."""

    probe: Id
    show: Show = Show.IDENTIFY
    seconds: Annotated[int, Meta(ge=1, le=600)] = 30


class ReadLog(Order, frozen=True, tag="read-log", tag_field="verb"):
    """Give the newest lines of a probe's log, which holds no address."""

    probe: Id
    lines: Annotated[int, Meta(ge=1, le=200)] = 50


class Measure(Order, frozen=True, tag="measure", tag_field="verb"):
    """Stay on one channel and report the level of a beacon of ours: the Wi-Fi name or BLE local name is `beacon`."""

    probe: Id
    beacon: Id
    channel: Channel
    radio: Radio = Radio.WIFI
    seconds: Annotated[int, Meta(ge=1, le=300)] = 10


class Beacon(Order, frozen=True, tag="beacon", tag_field="verb"):
    """Send a beacon of ours, Wi-Fi and BLE, `slot_ms` into each of `count` periods by the hub's time."""

    probe: Id
    slot_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 0
    period_ms: Annotated[int, Meta(ge=200, le=3_600_000)] = 60_000
    count: Annotated[int, Meta(ge=1, le=1000)] = 1
    channel: Annotated[int, Meta(ge=1, le=14)] = 1


class Update(Order, frozen=True, tag="update", tag_field="verb"):
    """One step of a firmware update: `begin` it, give `data` in order of `offset`, `end` it. The probe says how far.

    `manifest` is the signed text, `signature` ECDSA P-256 over its SHA-256 (r and s, 32 bytes each), `data` base64. A
    probe that finds an offset out of order refuses and names the one it wants; after any other refusal begin again.
    """

    probe: Id
    step: Literal["begin", "data", "end"]
    manifest: Annotated[str, Meta(max_length=1024)] = ""
    signature: Hex = ""
    offset: Count = 0
    data: Annotated[str, Meta(max_length=1368, pattern=r"^[A-Za-z0-9+/]*={0,2}$(?!\n)")] = ""


class Rollout(Order, frozen=True, tag="rollout", tag_field="verb"):
    """Update probes from the release in the hub's data folder: one, then a quarter, then the rest; or stop, or look.

    Each must have the new image, reach the hub and be well before the next begin. `probes`: these only. It is done
    once it has begun; `status` tells how far it is.
    """

    step: Literal["begin", "status", "stop"] = "status"
    probes: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()


ToProbe: TypeAlias = Restart | Identify | ReadLog | Measure | Beacon | Update
Asked: TypeAlias = (
    ToProbe | Replay | Recompute | Flush | SetThresholds | SetZones | SetHop | SetProbe | SetPrivacy | Rollback
    | CalibrateStart | CalibrateApply | CalibrateUndo | RotateKey | Rollout
)  # fmt: skip
Command: TypeAlias = GiveKeys | AskKeys | Describe | Asked


class Status(StrEnum):
    """How far a command is: `accepted` is followed by one of the others, which are final."""

    ACCEPTED = "accepted"
    DONE = "done"
    REFUSED = "refused"


class Element(Closed, frozen=True):
    """An 802.11 element of a fingerprint, as `footfall contract show wire` says: never a vendor's body or an SSID."""

    id: Annotated[int, Meta(ge=0, le=255)]
    length: Annotated[int, Meta(ge=0, le=255)]
    stable: Hex = ""


class Description(Closed, frozen=True):
    """Answer to `describe` for one fingerprint."""

    fingerprint: U32
    elements: Annotated[tuple[Element, ...], Meta(max_length=255)]


class Fault(Closed, frozen=True):
    """Why a command was refused, in one line, and what to do."""

    what: Text
    next_step: Text


class Measured(Closed, frozen=True):
    """Level of a beacon: how many frames, their median and the tenth and ninetieth percentile."""

    frames: Count
    rssi_dbm: Annotated[float, Meta(ge=-128, le=0)] | None = None
    low_dbm: Annotated[float, Meta(ge=-128, le=0)] | None = None
    high_dbm: Annotated[float, Meta(ge=-128, le=0)] | None = None


class UpdateProgress(Closed, frozen=True):
    """How many bytes of an image the probe has."""

    offset: Count


class Updating(StrEnum):
    """How far a probe's update is. `kept`, `skipped` and the failures are final."""

    WAITING = "waiting"  # for its stage
    SENDING = "sending"
    RESTARTING = "restarting"
    ON_TRIAL = "on_trial"  # the new image runs; it goes back unless it is well
    KEPT = "kept"
    SKIPPED = "skipped"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


class ProbeUpdate(Closed, frozen=True):
    """One probe of a rollout; `what` says why it was skipped or failed."""

    probe: Id
    state: Updating
    percent: Annotated[int, Meta(ge=0, le=100)] = 0
    what: Text = ""


class RolloutState(Closed, frozen=True):
    """How far the last rollout is: its stage of how many, and every probe. `failed`: no further stage begins."""

    state: Literal["none", "running", "done", "failed", "stopped"]
    version: Text = ""
    stage: Count = 0
    stages: Count = 0
    probes: Annotated[tuple[ProbeUpdate, ...], Meta(max_length=1000)] = ()


class Response(Closed, frozen=True):
    """Answer to the command `id`; never retained. A probe may leave out `status`: with `error` refused, else done.

    `version` is the configuration's that was written, `restart` its keys that a hub takes up at its next start,
    `waiting` the probes that have not taken theirs yet. `replayed` and `recomputed` count hours and days. `count` is a
    calibration's id, `seconds` how long what has begun will take.
    """

    id: Id
    status: Status | UnsetType = UNSET
    error: Fault | None = None
    descriptions: Annotated[tuple[Description, ...], Meta(max_length=64)] = ()
    keys: Annotated[tuple[KeySpan, ...], Meta(max_length=2)] = ()
    replayed: Count | None = None
    recomputed: Count | None = None
    version: Count | None = None
    restart: Annotated[tuple[Text, ...], Meta(max_length=100)] = ()
    waiting: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()
    count: CalibrationId | None = None
    seconds: Seconds | None = None
    lines: Annotated[tuple[Text, ...], Meta(max_length=200)] = ()
    measured: Measured | None = None
    update: UpdateProgress | None = None
    rollout: RolloutState | None = None

    def __post_init__(self) -> None:
        if self.status is not UNSET and (self.status is Status.REFUSED) != (self.error is not None):
            raise ValueError("a refused command has an error and no other has")

    @property
    def outcome(self) -> Status:
        """Give `status`, or what its absence means."""
        if self.status is UNSET:
            return Status.DONE if self.error is None else Status.REFUSED
        return self.status
