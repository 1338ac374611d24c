"""Text without secrets, addresses and names of networks, for strangers' eyes. Pure; errs on the side of removing.

Equal things get the same mark, so that a reader can still tell who is who. Values of secret keys are looked for first,
in all texts, and removed wherever they stand.
"""

import csv
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping

MIN_VALUE = 3  # shorter ones would blank half the text; the pair itself is blanked all the same
_SECRET = r"(?:password|passwd|passphrase|psk|ssid|bssid|secret|token|key|code|credential|authorization)"
_NAME = r"(?:name|address|street|contact|email|phone|host|hostname|user|username)"
_KEY = rf"(?:\w+[_-])?(?:{_SECRET}|{_NAME})"
_VALUE = r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^,;&}\]\r\n]+)"""
_PAIR = re.compile(
    rf"""(--{_KEY}[ =]|\b{_KEY}\b(?:\\?["'])?\s*[=:]\s*){_VALUE}""",
    re.IGNORECASE,
)
_SECRET_COLUMN = re.compile(rf"{_KEY}\Z", re.IGNORECASE)
_QUOTED_NETWORK = re.compile(r"""\b(?:joining|ssid|network|wi-?fi)\s+(["'])(.+?)\1""", re.IGNORECASE)
_BLOCK = re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|\Z)", re.DOTALL)
_CODE = re.compile(r"footfall-enrol:\S+")
_LOGIN = re.compile(r"(\w+://)[^/\s@]+@")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_MAC = re.compile(r"(?<![0-9a-f])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9a-f])", re.IGNORECASE)
_DOTTED_MAC = re.compile(r"\b[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}\b", re.IGNORECASE)
_BARE_MAC = re.compile(r"\b[0-9a-f]{12}\b", re.IGNORECASE)
_V4 = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_V6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)
_BLOB = re.compile(r"\b[0-9a-f]{24,}\b|[A-Za-z0-9+/_-]{40,}={0,2}", re.IGNORECASE)
_PLAIN_WORDS = frozenset({"true", "false", "null", "none", "wifi", "auto", "yes", "no", "ok"})
_LOCAL = frozenset({"127.0.0.1", "0.0.0.0", "::1", "::"})


def redact(texts: Mapping[str, str], known: Iterable[str] = ()) -> tuple[dict[str, str], int]:
    """Give the texts without what should not be seen, and how many things went; `known` are values to remove too."""
    values = {value for text in texts.values() for value in _values(text)} | set(known)
    wanted = sorted((value for value in values if len(value) >= MIN_VALUE), key=len, reverse=True)
    everywhere = re.compile("|".join(rf"(?<!\w){re.escape(v)}(?!\w)" for v in wanted) or r"(?!)", re.IGNORECASE)
    marks = _Marks()
    return {name: _clean(text, everywhere, marks) for name, text in texts.items()}, marks.count


def _values(text: str) -> Iterator[str]:
    """Give what stands behind a secret key; of names, those of more than a word."""
    for found in _PAIR.finditer(text):
        value = _unquoted(found[2].strip())
        is_name = re.search(r"\bname\b", found[1], re.IGNORECASE) is not None
        if value.lower() not in _PLAIN_WORDS and (" " in value or not is_name):
            yield value
    yield from (found[2] for found in _QUOTED_NETWORK.finditer(text))
    head, _, rest = text.partition("\n")
    columns = [at for at, name in enumerate(head.split(",")) if _SECRET_COLUMN.fullmatch(name.strip())]
    if columns and "," in head:
        for row in csv.reader(rest.splitlines()):
            yield from (row[at].strip() for at in columns if at < len(row))


class _Marks:
    """The same mark for the same thing."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self.count = 0

    def mark(self, kind: str, thing: str) -> str:
        """Give the mark that stands for a thing."""
        self.count += 1
        kinds = sum(known == kind for known, _ in self._known)
        return self._known.setdefault((kind, thing.lower()), f"[{kind} {kinds + 1}]")


def _clean(text: str, everywhere: re.Pattern[str], marks: _Marks) -> str:
    text = _BLOCK.sub(lambda found: marks.mark("pem", found[0]), text)
    text = _CODE.sub(lambda found: marks.mark("code", found[0]), text)
    text = _LOGIN.sub(lambda found: found[1] + marks.mark("login", found[0]) + "@", text)
    text = _PAIR.sub(lambda found: found[1] + _pair(found[2].strip(), marks), text)
    text = everywhere.sub(lambda found: marks.mark("value", found[0]), text)
    text = _MAIL.sub(lambda found: marks.mark("mail", found[0]), text)
    for pattern in (_MAC, _DOTTED_MAC, _BARE_MAC):
        text = pattern.sub(lambda found: marks.mark("address", re.sub(r"[:.-]", "", found[0])), text)
    text = _V4.sub(lambda found: _host(found[0], marks), text)
    text = _V6.sub(lambda found: _host(found[0], marks), text)
    return _BLOB.sub(lambda found: marks.mark("blob", found[0]), text)


def _pair(written: str, marks: _Marks) -> str:
    value = _unquoted(written)
    if value.lower() in _PLAIN_WORDS or not value or value.startswith("["):
        return written
    mark = marks.mark("value", value)
    return f'"{mark}"' if written[:1] in {'"', "'"} else mark


def _unquoted(value: str) -> str:
    return value[1:-1] if value[:1] in {'"', "'"} else value


def _host(text: str, marks: _Marks) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return text if str(address) in _LOCAL else marks.mark("host", str(address))
