"""From batches to visits: which key rules, which batch fits it, when a step is due, when a life ends. Sends keys."""

import secrets

from hostkit.contract.codec import CMD
from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.wire import Batch
from hostkit.hub.figures import KEPT_S
from hostkit.hub.keys import written
from hostkit.hub.pace import Timers, monotonic_s
from hostkit.hub.parts import Parts

UNHEARD_US = 60_000_000  # while nobody is awaited, time is final so long after it passed
KEEP_HOURS_S = 25 * 31 * 86_400
FORGET_S = 3600.0


class Works:
    """What the hub does with what was heard. `now_s` is monotonic, `now_us` the service's time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._anonymous = parts.settings.site.privacy.anonymous
        self._timers = Timers()

    def turn(self, now_s: float, now_us: int | None) -> None:
        """Do what is due."""
        self._mind_keys(now_s, now_us)
        for line in self._parts.intake.remarks:
            self._parts.say(line)
        self._parts.intake.remarks.clear()
        if now_us is not None and self._parts.keeper.seal is not None:
            self._work(now_s, now_us)

    def flush(self, at_us: int | None = None) -> None:
        """End of input: end every visit and put all into the outbox. Nothing where nothing was heard yet."""
        parts = self._parts
        now_us = parts.now.us if at_us is None else at_us
        if now_us and parts.keys.running and parts.keeper.seal:
            self._take_ready(monotonic_s(), now_us)
            parts.keeper.flush(parts.keys.running, secrets.token_hex(8), now_us / 1e6)
            parts.speaker.close_hours(float("inf"), now_us / 1e6)
            parts.speaker.afresh()

    def _mind_keys(self, now_s: float, now_us: int | None) -> None:
        keys, keeper, say = self._parts.keys, self._parts.keeper, self._parts.say
        at_s = None if now_us is None else now_us / 1e6
        if self._parts.tags.look(now_s):
            keys.give_again()
        if keys.decide(now_s, at_s):
            lost = keys.expected is not None
            say("key: no probe has the old one any more, made a new one" if lost else "key: made a new one")
        if at_s is not None and keys.rotate(at_s):
            say("key: rotated")
        if keys.running and at_s is not None and keeper.seal is None:
            keeper.begin(keys.running, secrets.token_hex(8), at_s)
            if keeper.resumed:
                say(f"journal: {keeper.resumed} entries taken again")
            if keeper.abandoned:
                say(f"visits: {keeper.abandoned} ended by the restart")
        self._give_keys(now_s, at_s or 0.0)

    def _give_keys(self, now_s: float, at_s: float) -> None:
        voice, keys = self._parts.voice, self._parts.keys
        for probe, command in keys.commands(now_s, lambda: secrets.token_hex(8)):
            payload = written(voice.payload(CMD, command, at_s), keys.keys)
            verb = "key" if keys.keys else "ask-key"
            self._parts.near.publish(voice.topic(f"cmd/{verb}", probe), payload, qos=0)
            payload[:] = bytes(len(payload))

    def _work(self, now_s: float, now_us: int) -> None:
        keeper, at_s = self._parts.keeper, now_us / 1e6
        self._take_ready(now_s, now_us)
        keeper.step_to(self.final_us(now_s, now_us), at_s)
        self._end_life(at_s)
        keeper.emit(at_s)
        self._parts.speaker.close_hours((keeper.chain.stepped_us or 0) / 1e6, at_s)
        if self._timers.due("forget", now_s, at_s, every_s=FORGET_S, rest_s=10.0):
            outbox, delivery = self._parts.outbox, self._parts.settings.site.delivery
            keeper.forget(at_s)
            outbox.forget_before(at_s - KEPT_S, at_s - KEEP_HOURS_S)
            outbox.expire(now_us // 1_000_000 - delivery.outbox_days * 86_400)

    def _end_life(self, at_s: float) -> None:
        """Let the life of the next key follow once that of the key before is over."""
        keys, keeper = self._parts.keys, self._parts.keeper
        chain = keeper.chain
        if chain.over and keys.running and keys.running.key_id == keeper.key_id:
            keys.rotate((chain.end_us or 0) / 1e6)
        running = keys.running
        if running and running.key_id != keeper.key_id and (chain.over or chain.stepped_us is None):
            keeper.next_life(running, secrets.token_hex(8), at_s)
            if self._anonymous:
                self._parts.intake.check.close()
            else:
                self._parts.descriptions.new_life()

    def _take_ready(self, now_s: float, now_us: int) -> None:
        parts = self._parts
        for held in parts.intake.ready(now_s):
            batch = held.batch
            arrived_us = now_us - round((now_s - held.at_s) * 1e6)
            fits = parts.keys.fits(batch.key_id, (batch.base_time_us or arrived_us) / 1e6)
            parts.overview.batch(batch, now_s, fits=fits)
            if fits:
                self._take(batch, arrived_us, now_s, now_us)
            else:
                parts.intake.refuse_key(batch.probe)
                parts.keys.stale(batch.probe)
            parts.outbox.set_taken(batch.probe, batch.boot, batch.seq)
            parts.confirm.append(held.message)
            parts.roster.owe(batch.probe)

    def _take(self, batch: Batch, arrived_us: int, now_s: float, now_us: int) -> None:
        parts = self._parts
        assert parts.keeper.seal is not None
        key = parts.keys.of(batch.key_id)
        batch = parts.tags.without_tags(batch, key)
        if key is not None:
            batch = parts.anchors.without_beacons(batch, key)
        heard = parts.intake.heard(batch, arrived_us, now_us, None if self._anonymous else parts.keeper.seal)
        if heard is None:
            return
        if batch.element_table == FINGERPRINT_VERSION and not self._anonymous:
            heard = parts.descriptions.of_batch(batch.probe, heard, now_s)
        parts.keeper.take(heard)

    def final_us(self, now_s: float, now_us: int) -> int:
        """Up to when everything has arrived that will: the slowest probe that is awaited.

        In anonymous_5min no probe is awaited for longer than a minute: then the window is over, and what it told apart.
        """
        until_us = self._parts.keeper.chain.until_us
        awaited_us = self._parts.roster.awaited_us(until_us, now_s)
        if awaited_us is not None:
            return max(awaited_us, now_us - UNHEARD_US) if self._anonymous else awaited_us
        return max(until_us.values(), default=0) - UNHEARD_US if self._parts.now.batch else now_us - UNHEARD_US
