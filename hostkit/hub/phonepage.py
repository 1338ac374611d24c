"""The page for whoever stands on the ladder: how every probe does, on a phone in the shop's network. Read only.

Off unless asked for. Its address holds a token of 128 bits, kept beside the outbox, so that who is in the shop's Wi-Fi
does not read it by chance; it is plain HTTP, for phones know no certificate of ours. What it tells is what anybody with
a meter could count on the spot: frames a second, levels of many. No device, no address, no key, no figure of people.
"""

import hmac
import secrets
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hostkit.contract.probes import Probes
from hostkit.io.files import write_files
from hostkit.io.webserver import HEADERS
from hostkit.secret import read_secret

TOKEN = "page-token"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_ASSETS = {"": "index.html", "page.js": "page.js", "page.css": "page.css", "icon.svg": "icon.svg"}
_GONE = Response("nothing here\n", 404, headers=HEADERS, media_type="text/plain")


def token_of(data: Path) -> str:
    """Give the page's token, made at its first use. StorageError if it cannot be kept."""
    path = data / TOKEN
    if not path.exists():
        write_files({path: secrets.token_urlsafe(16).encode()}, private=True)
    return read_secret(path).decode("ascii", "replace").strip()


def application(token: str, probes: Callable[[], Probes | None]) -> Starlette:
    """Give the page below `/TOKEN/`; any other path is answered as if there were nothing."""

    def page(request: Request) -> Response:
        name = request.path_params["name"]
        if not hmac.compare_digest(request.path_params["token"].encode("utf-8", "replace"), token.encode()):
            return _GONE
        if name == "probes.json":
            told = probes()
            if told is None:
                return Response("starting\n", 503, headers=HEADERS, media_type="text/plain")
            return Response(msgspec.json.encode(told), headers=HEADERS, media_type="application/json")
        if name not in _ASSETS:
            return _GONE
        asset = files("hostkit.hub").joinpath("page", _ASSETS[name])
        kind = _KINDS[Path(_ASSETS[name]).suffix]
        return Response(asset.read_bytes(), headers=HEADERS, media_type=f"{kind}; charset=utf-8")

    served = Starlette(routes=[Route("/{token}/{name:path}", page, methods=["GET"])])
    served.router.redirect_slashes = False
    return served
