"""What a running hub is made of, put together once; what uses the parts is in reception, works and office."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from hostkit.errors import StorageError
from hostkit.hub.anchors import Anchors
from hostkit.hub.calibrating import FitNight
from hostkit.hub.describe import Descriptions
from hostkit.hub.former import former_probes
from hostkit.hub.intake import Intake
from hostkit.hub.keeper import Keeper
from hostkit.hub.keys import KeyFlow
from hostkit.hub.links import site_client, uplink_client
from hostkit.hub.overview import Overview
from hostkit.hub.pace import Now, monotonic_s
from hostkit.hub.rollout import Rollouts
from hostkit.hub.roster import Roster
from hostkit.hub.serial import Near, SerialProbes
from hostkit.hub.speaker import Speaker
from hostkit.hub.tags import Registry
from hostkit.hub.teller import Teller
from hostkit.hub.uplink import Uplink
from hostkit.hub.voice import Voice
from hostkit.io.calibrations import in_force
from hostkit.io.memory import random_fill
from hostkit.io.mqtt import INBOX_ITEMS, Arrived, BrokerUrl, Client, Inbox
from hostkit.io.outbox import Outbox
from hostkit.io.webserver import Listen
from hostkit.model import Provenance, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """What a hub runs on. `path` is the site.toml that `site` was read from.

    Without `uplink` the site broker is the uplink broker too. `batch_clock`: see `Now`. `serial`: ports and globs of
    ports that probes may be on. `fit_night`: see `Bench`.
    """

    site: Site
    path: Path
    broker: BrokerUrl
    uplink: BrokerUrl | None
    data: Path
    batch_clock: bool
    serial: tuple[str, ...] = ()
    page: Listen | None = None  # where the phone page is served, if anywhere
    fit_night: FitNight | None = None

    @property
    def credentials(self) -> tuple[Path, ...]:
        """Folders of what we show at the brokers."""
        return tuple(Path(url.key).parent for url in (self.broker, self.uplink) if url and url.key)

    @property
    def certificates(self) -> tuple[Path, ...]:
        """What we show at the brokers."""
        return tuple(Path(url.cert) for url in (self.broker, self.uplink) if url and url.cert)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one run.

    `confirm`: messages that may be confirmed to the broker after the next commit; `former`: probes that are gone.
    """

    settings: HubSettings
    say: Callable[[str], None]
    outbox: Outbox
    now: Now
    voice: Voice
    inbox: Inbox
    local: Client
    upward: Client
    serial: SerialProbes
    near: Near
    roster: Roster
    overview: Overview
    tell: Teller
    anchors: Anchors
    rollouts: Rollouts
    intake: Intake
    descriptions: Descriptions
    tags: Registry
    keys: KeyFlow
    keeper: Keeper
    uplink: Uplink
    speaker: Speaker
    confirm: list[Arrived]
    former: tuple[str, ...]

    @property
    def links(self) -> tuple[Client, ...]:
        """The connections, each once."""
        return tuple(dict.fromkeys((self.local, self.upward)))

    def mark(self, provenance: Provenance) -> None:
        """The first provenance heard is that of the data folder for ever."""
        if self.voice.provenance is None:
            self.voice.provenance = self.intake.provenance = provenance
            self.outbox.set_word("provenance", provenance)


def put_together(settings: HubSettings, outbox: Outbox, say: Callable[[str], None]) -> Parts:
    """Make the parts; nothing is connected yet. The keeper may have cleared what another privacy mode kept."""
    site = settings.site
    voice = Voice(site)
    inbox: Inbox = Queue(INBOX_ITEMS)
    intake = Intake(site, outbox.taken(), batch_clock=settings.batch_clock)
    voice.provenance = intake.provenance = _provenance(outbox)
    keeper = Keeper(site, outbox, voice)
    if keeper.strange:
        say(f"{outbox.where}: {keeper.strange} visits in it cannot be read; figures of these two days lack them")
    life = outbox.life()
    local = site_client(voice, settings.broker, inbox, shared=settings.uplink is None)
    upward = local if settings.uplink is None else uplink_client(voice, settings.uplink, inbox)
    serial = SerialProbes(settings.serial, site, inbox, say)
    near, now, roster = Near(local, serial), Now(batch=settings.batch_clock), Roster(probe.id for probe in site.probes)
    tell = Teller(voice, near, roster, now)
    anchors = Anchors(site, settings.path, outbox, send=tell, online=roster.online, say=say)
    uplink = Uplink(outbox, upward, voice)
    former = former_probes(outbox, site)
    tags = Registry(settings.data, say)
    speaker = Speaker(
        voice=voice,
        outbox=outbox,
        intake=intake,
        keeper=keeper,
        uplink=uplink,
        anchors=anchors,
        links=tuple(dict.fromkeys((local, upward))),
        data=settings.data,
        began_s=monotonic_s(),
        certificates=settings.certificates,
        former=former,
        calibration_id=lambda: in_force(settings.path),
    )
    return Parts(
        settings=settings,
        say=say,
        outbox=outbox,
        now=now,
        voice=voice,
        inbox=inbox,
        local=local,
        upward=upward,
        serial=serial,
        near=near,
        roster=roster,
        overview=Overview(site),
        tell=tell,
        anchors=anchors,
        rollouts=Rollouts(settings.data, outbox, send=tell, say=say),
        intake=intake,
        descriptions=Descriptions(outbox),
        tags=tags,
        keys=KeyFlow(site, random_fill, life.key_id if life else None, named=tags.named),
        keeper=keeper,
        uplink=uplink,
        speaker=speaker,
        confirm=[],
        former=former,
    )


def _provenance(outbox: Outbox) -> Provenance | None:
    """Give what the data folder holds; None if nothing was heard yet."""
    word = outbox.word("provenance")
    if not word:
        return None
    try:
        return Provenance(word)
    except ValueError as error:
        what = f"holds data of provenance {word[:40]!r}, which this release does not know"
        raise StorageError(what, where=outbox.where, next_step="update footfall, or give another --data") from error
