"""What `simulate --mqtt` and `replay --mqtt` print when the play is over."""

from hostkit.cli import text
from hostkit.sim.player import Played


def played_line(played: Played) -> str:
    """Say in two lines what was played and what of it is lost."""
    return (
        f"Played {text.duration((played.until_us - played.from_us) / 1e6)} in {text.duration(played.wall_s)}: "
        f"{played.frames:,} frames in {played.batches:,} batches.\n"
        f"Not acknowledged: {played.unacknowledged:,} batches. Lost: {played.dropped:,} frames.\n"
    )
