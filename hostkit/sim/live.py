"""A simulated shop played to a hub: probes over MQTT in place of files. What was played can be written as a folder."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hostkit.sim.air import SimulatedAir
from hostkit.sim.player import Played, Player, Say
from hostkit.sim.world import Simulation


def play(simulation: Simulation, broker: str, *, speed: float, say: Say) -> tuple[Simulation, Played]:
    """Play until the end or SIGINT or SIGTERM; give the world as far as it was played.

    Raises UsageError or ConfigError for the address or speed, PeerError where no broker answers at first.
    """
    site = simulation.settings.site
    sources = [SimulatedAir(simulation, index) for index in range(len(simulation.ears))]
    player = Player(sources, broker, tenant=site.tenant, site=site.site, speed=speed, say=say)
    with stopping(player.stop):
        played = player.run()
    return simulation.until((played.until_us - simulation.settings.start_us) / 1e6), played


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM call `stop`; a second one ends as usual."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def on_signal(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in numbers:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        restore()
