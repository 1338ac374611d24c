"""What time it is by the hub. The probe's own clock is never stepped; only the offset to UTC is. Pure."""

KEPT = 8  # arrivals; the quickest of them tells
STEP_US = 2_000_000  # further off is another clock, not delay
STEP_AFTER = 3  # arrivals in a row that agree on it
BACK_US = 10_000_000  # and for so long, if it is back: messages that were held up look so too
_minutes: dict[str, int] = {}  # the last that was read: to read a date takes as long as all the rest of a message
_DAYS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


class HubTime:
    """The offset of UTC to probe time, from the times the hub's messages bear."""

    def __init__(self) -> None:
        self._offsets_us: list[int] = []
        self.offset_us = 0  # the largest of them: of the quickest arrival; 0 while nobody has said
        self._away = self._away_us = 0  # arrivals in a row that contradict, and when the first of them came
        self.steps = 0

    @property
    def known(self) -> bool:
        """Tell whether the hub ever said the time."""
        return bool(self._offsets_us)

    def told(self, utc_us: int, now_us: int) -> None:
        """A message written at `utc_us` came at probe time `now_us`."""
        offset_us = utc_us - now_us
        if self._offsets_us and abs(offset_us - self.offset_us) > STEP_US:
            if not self._away:
                self._away_us = now_us
            self._away += 1
            behind = offset_us < self.offset_us and now_us - self._away_us < BACK_US
            if self._away < STEP_AFTER or behind:
                return
            self.steps += 1
            self._offsets_us.clear()
        self._away = 0
        self._offsets_us.append(offset_us)
        if len(self._offsets_us) > KEPT:
            self._offsets_us.pop(0)
        self.offset_us = max(self._offsets_us)

    def utc_us(self, now_us: int) -> int:
        """Give µs since 1970 at probe time `now_us`; 0 while nobody has said."""
        return now_us + self.offset_us if self.offset_us else 0


def parse_time(text: str) -> int:
    """Read RFC 3339 in UTC, `2026-03-14T11:05:00.123456Z` or `+00:00`, as µs since 1970; ValueError for all else."""
    if not isinstance(text, str) or len(text) < 20:
        raise ValueError("time")
    minute = text[:17]
    minute_us = _minutes.get(minute)
    if minute_us is None:
        minute_us = _minute_us(minute)
        _minutes.clear()
        _minutes[minute] = minute_us
    if text[-1] != "Z" and text[-6:] != "+00:00":
        raise ValueError("time")
    fraction = text[19 : -1 if text[-1] == "Z" else -6]
    if fraction and (fraction[0] != "." or not 1 < len(fraction) <= 10):
        raise ValueError("time")
    micros = int((fraction[1:] + "000000")[:6]) if fraction else 0
    return minute_us + int(text[17:19]) * 1_000_000 + micros


def _minute_us(head: str) -> int:
    """Read `2026-03-14T11:05:`."""
    if head[4] + head[7] + head[13] + head[16] != "--::" or head[10] not in "Tt ":
        raise ValueError("time")
    year, month, day = int(head[:4]), int(head[5:7]), int(head[8:10])
    if not 1 <= month <= 12 or not 2000 <= year <= 2100:
        raise ValueError("time")
    minutes = days(year, month, day) * 1440 + int(head[11:13]) * 60 + int(head[14:16])
    return minutes * 60_000_000


def days(year: int, month: int, day: int) -> int:
    """Give the days since 1970 of a date in the Gregorian calendar."""
    leaps = year // 4 - year // 100 + year // 400 - (1 if month < 3 and _leap(year) else 0)
    return (year - 1970) * 365 + leaps - 477 + _DAYS[month - 1] + day - 1


def format_time(utc_us: int) -> str:
    """Write µs since 1970 as RFC 3339."""
    seconds, micros = divmod(utc_us, 1_000_000)
    number, second = divmod(seconds, 86_400)
    year = 1970 + number // 366
    while days(year + 1, 1, 1) <= number:
        year += 1
    month = 12
    while days(year, month, 1) > number:
        month -= 1
    day = number - days(year, month, 1) + 1
    return (
        f"{year:04d}-{month:02d}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{micros:06d}Z"
    )


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
