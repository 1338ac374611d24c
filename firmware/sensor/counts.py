"""What health tells in numbers. Every name is here, so that nothing is counted in silence. Pure."""

PASSED = ("sent", "acknowledged", "commands", "connections", "beacons_sent", "clock_steps", "updates_kept")
DROPS = (
    "spool_batches",  # lost for want of room, or unreadable
    "spool_records",
    "spool_unreadable",  # of spool_batches: sealed under a key that is over
    "spool_torn",
    "flash_errors",
    "ring_records",
    "no_key_s",  # seconds without capture for want of a key
    "messages_refused",
    "messages_unsent",
    "line_damaged",  # serial frames
    "ble_adverts",  # scan reports with no room in the irq's buffer
    "commands_refused",
    "settings_refused",
    "update_refused",
    "update_rolled_back",
    "link_refused",  # connections that failed: no address, no answer, no route
    "no_network",  # of them: no cable, access point or address
    "tls_refused",  # of them: certificates that do not verify
    "enrol_refused",  # of them: the hub did not take our code
    "broker_refused",  # of them: the broker said no
    "radio_refused",  # the capture module raised
)


class Counts:
    """Two dicts of fixed names."""

    def __init__(self) -> None:
        self.passed = dict.fromkeys(PASSED, 0)
        self.drops = dict.fromkeys(DROPS, 0)

    def drop(self, name: str) -> None:
        """Count one loss."""
        self.drops[name] += 1

    def did(self, name: str) -> None:
        """Count one that passed."""
        self.passed[name] += 1
