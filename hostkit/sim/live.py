"""A simulated shop played to a hub: probes over MQTT in place of files. What was played can be written as a folder."""

from pathlib import Path

from hostkit.model import Provenance
from hostkit.sim.air import SimulatedAir
from hostkit.sim.flush import flush
from hostkit.sim.player import Played, Player, Say
from hostkit.sim.stopping import stopping
from hostkit.sim.world import Simulation


def play(
    simulation: Simulation, broker: str, *, speed: float, say: Say, technician: Path | None = None
) -> tuple[Simulation, Played]:
    """Play until the end or SIGINT or SIGTERM, then flush the hub; give the world as far as it was played.

    Raises UsageError or ConfigError for the address or speed, PeerError where no broker answers at first.
    """
    site = simulation.settings.site
    sources = [SimulatedAir(simulation, index, technician) for index in range(len(simulation.ears))]
    player = Player(sources, broker, tenant=site.tenant, site=site.site, speed=speed, say=say)
    with stopping(player.stop):
        played = player.run()
    if played.until_us == played.from_us:
        raise KeyboardInterrupt  # stopped before the hub had given a key: there is nothing to flush, write or measure
    flush(broker, tenant=site.tenant, site=site.site, at_us=played.until_us, provenance=Provenance.SIMULATED)
    return simulation.until((played.until_us - simulation.settings.start_us) / 1e6), played
