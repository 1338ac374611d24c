"""The configuration a hub runs on and the file it comes from: changes by command, by hand and from above.

Each is taken whole or refused whole, with the reason. What a running hub cannot take over waits for its next start.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from hostkit.config import dump_site, parse_site
from hostkit.contract.check import unknown_key
from hostkit.contract.codec import CONFIG, decode
from hostkit.contract.messages import CONFIG_VERSION, ConfigHash, ConfigRefused, Desired
from hostkit.errors import ConfigError, HostkitError, PeerError, UsageError
from hostkit.hub.roles import Roles
from hostkit.hub.settings import adopt, change, config_hash, kept_until_restart, roll_back, taken_over
from hostkit.io.files import stamp_of
from hostkit.io.mqtt import Arrived
from hostkit.io.outbox import Outbox
from hostkit.model import Site

LOOK_S = 2.0  # between looks at the file
_WORD = "desired"


class _Wanted(msgspec.Struct, frozen=True):
    config_hash: ConfigHash


class _Head(msgspec.Struct, frozen=True):
    data: _Wanted


class _Handled(msgspec.Struct, frozen=True):
    """The last configuration from above: what became of it, and what the hub calls it by itself."""

    config_hash: str = ""
    own: str = ""
    refused: str | None = None


_head = msgspec.json.Decoder(_Head)


class Configuration:
    """`site` is what the hub runs on; `take` is called with each new one.

    `roles` tell who may desire one, `wall_s` when a version was made.
    """

    def __init__(
        self,
        path: Path,
        site: Site,
        outbox: Outbox,
        *,
        take: Callable[[Site], None],
        say: Callable[[str], None],
        roles: Roles,
        wall_s: Callable[[], float],
    ) -> None:
        self.path, self.site = path, site
        self._outbox, self._take, self._say, self._roles, self._wall_s = outbox, take, say, roles, wall_s
        self._stamp = stamp_of(path)
        self._look_s = 0.0
        try:
            self._handled = msgspec.json.decode(outbox.word(_WORD) or "{}", type=_Handled)
        except msgspec.DecodeError:
            self._handled = _Handled()

    @property
    def config_hash(self) -> str:
        """Name the configuration in force, as whoever desired it does."""
        own = config_hash(self.site)
        return self._handled.config_hash if own == self._handled.own else own

    @property
    def refused(self) -> ConfigRefused | None:
        """Say why the desired configuration is not in force."""
        handled = self._handled
        return None if handled.refused is None else ConfigRefused(handled.config_hash, handled.refused)

    def change(self, make: Callable[[Site], Site], by: str) -> tuple[int, tuple[str, ...]]:
        """Write the changed site; give its version and the keys that wait for the next start. Raises ConfigError."""
        version, site = change(self.path, make, by=by, at_s=self._wall_s())
        return version.number, self.took(site)

    def roll_back(self, number: int, by: str) -> tuple[int, tuple[str, ...]]:
        """Make an earlier version the newest, as `change` does. Raises ConfigError, UsageError."""
        version, site = roll_back(self.path, number, by=by, at_s=self._wall_s())
        return version.number, self.took(site)

    def took(self, wanted: Site) -> tuple[str, ...]:
        """Run on what the file now says; give the keys that wait for the next start."""
        self._stamp = stamp_of(self.path)
        waiting = kept_until_restart(self.site, wanted)
        site = taken_over(self.site, wanted)
        if site != self.site:
            self.site = site
            self._take(site)
        return waiting

    def look(self, now_s: float) -> None:
        """See whether somebody changed the file; a bad one is told and left alone."""
        if now_s < self._look_s + LOOK_S:
            return
        self._look_s = now_s
        if (stamp := stamp_of(self.path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            waiting = self.took(adopt(self.path, at_s=self._wall_s()))
        except HostkitError as error:
            self._say(f"{error}; the hub goes on as before")
            return
        later = f"; from the next start: {', '.join(waiting)}" if waiting else ""
        self._say(f"{self.path}: changed by hand, taken over{later}")

    def desired(self, message: Arrived) -> bool:
        """Take a configuration from above, once; tell whether it is new. Raises PeerError for one without a name."""
        try:
            wanted = _head.decode(message.payload).data.config_hash
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise PeerError(
                "names no config_hash", where=message.topic, next_step="see: footfall contract show config"
            ) from error
        if wanted == self._handled.config_hash:
            return False
        try:
            site = self._desired_site(message)
            self.change(lambda _: site, f"desired configuration {wanted[:16]}")
            self._handled = _Handled(wanted, config_hash(self.site))
        except HostkitError as error:
            self._handled = _Handled(
                wanted, refused=f"{error.where.removeprefix(message.topic + ': ')}: {error.what}"[:500]
            )
            self._say(f"desired configuration: refused: {error}")
        self._outbox.set_word(_WORD, msgspec.json.encode(self._handled).decode())
        return True

    def _desired_site(self, message: Arrived) -> Site:
        whole = decode(CONFIG, message.payload, message.topic)
        if self._roles(message, whole.source.rpartition("/")[2]) is None:
            raise PeerError("its sender has no such right", where="source", next_step="send it from the collector")
        return _checked(whole.data, message, self.site)


def _checked(desired: Desired, message: Arrived, running: Site) -> Site:
    where = message.topic
    if desired.version > CONFIG_VERSION:
        what = f"version {desired.version} is newer than this release's {CONFIG_VERSION}"
        raise ConfigError(what, where="version", next_step="update the hub first")
    if not isinstance(desired.site, Site):
        raise ConfigError("is a probe's", where=where, next_step="send the hub a site")
    try:
        tree = msgspec.json.decode(message.payload, type=dict[str, object])["data"]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # in what no type looked at
        raise PeerError(str(error)[:200], where=where, next_step="see: footfall contract show config") from error
    known = msgspec.to_builtins(desired) | {"version": 1}
    if (unknown := unknown_key(tree, known)) is not None:
        raise ConfigError("unknown key", where=unknown, next_step="remove it or update the hub")
    try:
        site = parse_site(dump_site(desired.site), "site")
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise ConfigError(str(error)[:200], where="site", next_step="correct it") from error
    if (site.tenant, site.site) != (running.tenant, running.site):
        raise ConfigError("is of another site", where="site", next_step="send it to that site's hub")
    if site.privacy != running.privacy:
        raise UsageError("is changed in the shop only", where="site.privacy", next_step="send it as it is in force")
    return site
