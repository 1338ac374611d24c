"""How the probe fares, and the watchdog: fed only while ear, uplink and memory are well."""

import gc
import time

HEALTH_MS = 30_000
LEAST_FREE_BYTES = 4096
EAR_MS, UPLINK_MS = 120_000, 30_000  # without a beat from them something hangs
_BLOCKS = (65_536, 49_152, 32_768, 24_576, 16_384, 12_288, 8192, 4096, 2048, 1024)


class Health:
    """Counters, drops and memory as the contract has them, and whether all is well."""

    def __init__(self, spool, capture, radio, counts, hub_time, resets: str, temperature) -> None:
        self._spool = spool
        self._capture = capture
        self._radio = radio
        self._counts = counts
        self._hub_time = hub_time
        self._resets = resets  # name of what started this boot
        self._temperature = temperature  # gives kelvin, or None
        self._ear_ms = self._uplink_ms = time.ticks_ms()

    def beat(self, uplink_ms: int | None = None) -> None:
        """The ear turned, or the uplink's loop went round at `uplink_ms`."""
        if uplink_ms is None:
            self._ear_ms = time.ticks_ms()
        elif uplink_ms:
            self._uplink_ms = uplink_ms

    def well(self) -> bool:
        """Tell whether the watchdog may be fed."""
        now_ms = time.ticks_ms()
        if time.ticks_diff(now_ms, self._ear_ms) > EAR_MS or time.ticks_diff(now_ms, self._uplink_ms) > UPLINK_MS:
            return False
        if gc.mem_free() < LEAST_FREE_BYTES:
            gc.collect()
        return gc.mem_free() >= LEAST_FREE_BYTES

    def data(self) -> dict[str, object]:
        """Give the contract's Health."""
        spool, stats = self._spool, self._radio.stats()
        drops = self._counts.drops
        drops["spool_batches"], drops["spool_records"] = spool.dropped_batches, spool.dropped_records
        drops["spool_unreadable"], drops["spool_torn"] = spool.unreadable, spool.log.torn
        drops["flash_errors"], drops["ring_records"] = spool.flash_errors, stats[2]
        counters = dict(self._counts.passed)
        counters["seen"], counters["rejected"], counters["radio_errors"] = stats[0], stats[1], stats[3]
        counters["ring_most"], counters["kept"], counters["batches"] = stats[4], self._capture.kept, self._capture.seq
        counters["flash_kib"] = spool.log.written_bytes >> 10
        counters["reset_" + self._resets] = 1
        block = largest_block()  # first: it collects, and garbage is free
        kelvin = self._temperature()
        if kelvin is not None:
            counters["temperature_k"] = kelvin
        return {
            "uptime_s": self._radio.now_us() // 1_000_000,
            "counters": counters,
            "drops": {name: count for name, count in drops.items() if count},
            "clock": {"synced": self._hub_time.known},
            "outbox_depth": len(spool),
            "memory": {"free_bytes": gc.mem_free(), "largest_block_bytes": block},
        }


def largest_block() -> int:
    """Give the largest of some sizes that can be had in one piece: a TLS record needs 16 KiB."""
    gc.collect()
    for size in _BLOCKS:
        try:
            bytearray(size)
        except MemoryError:
            continue
        gc.collect()
        return size
    return 0
