"""`footfall command`: asks a running hub to do something and waits for its answer. No logic."""

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.contract.commands import Asked, Response
from hostkit.contract.rights import Caller, verbs_of
from hostkit.errors import ExitCode, UsageError
from hostkit.hub.ask import EXPIRES_S, Envoy, ask, node_of, order_terms

VERBS = verbs_of(Caller.OPERATOR)
_decoder: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(Asked)


@click.command(
    epilog="""Examples:

    \b
      footfall command replay --site site.toml '{"from": 1773442800, "to": 1773529200}'
      footfall command thresholds --site site.toml '{"values": {"bounce_s": 45}}'
      footfall command hop --site site.toml '{"probe": "probe-1", "channels": [1, 6, 11], "dwell_ms": 500}'
      footfall command calibrate-apply --site site.toml '{"entered": 41}' --json
      footfall command calibrate-start --site site.toml '{"kind": "anchors"}'
      footfall command calibrate-apply --site site.toml '{"calibration": "anchors"}'
      footfall command rotate-key --site site.toml --broker "mqtts://hub.local:8883?ca=ca.crt&cert=me.crt&key=me.key"

    \b
    Exit codes: 0 done, 2 no such verb or key, 4 site.toml or the connection is wrong,
    6 the hub refused or did not answer, 130 stopped by you."""
)
@click.argument("verb", type=click.Choice(VERBS))
@click.argument("body", metavar="[JSON]", default="{}")
@site_option
@click.option(
    "--broker", metavar="URL", default="mqtt://127.0.0.1:1883", show_default=True, help="The hub's site broker."
)
@click.option("--as", "node", metavar="NODE", help="Who asks.  [default: who the certificate names, or operator]")
@click.option(
    "--expires",
    type=click.IntRange(1, 3600),
    default=EXPIRES_S,
    show_default=True,
    metavar="SECONDS",
    help="The hub does it by then or not at all; so long is waited for.",
)
@json_option
def command(
    *, verb: str, body: str, site_path: Path, broker: str, node: str | None, expires: int, as_json: bool
) -> None:
    """Ask the hub of a site for VERB; [JSON] holds what the verb needs (see: footfall contract show cmd).

    Keys `verb`, `id` and `expires` are added.
    """
    site = load_site(site_path)
    asked = _asked(verb, body, expires)
    envoy = Envoy(broker=broker, tenant=site.tenant, site=site.site, at=datetime.now(UTC), node=node or node_of(broker))
    response = ask(envoy, asked, wait_s=expires, on_accepted=lambda _: text.remark(f"{verb}: accepted"))
    if as_json:
        text.emit(msgspec.json.encode(response).decode() + "\n")
    elif response.error is None:
        text.emit(_line(verb, response))
    if response.error is not None:
        text.remark(f"{verb}: refused: {response.error.what}; {response.error.next_step}")
        raise click.exceptions.Exit(ExitCode.PEER)


def _asked(verb: str, body: str, expires: int) -> Asked:
    try:
        keys = msgspec.json.decode(body or "{}", type=dict[str, msgspec.Raw])
        number, until_s = order_terms(expires)
        added = {"verb": verb, "id": number, "expires": until_s}
        whole = keys | {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in added.items()}
        return _decoder.decode(msgspec.json.encode(whole))
    except msgspec.DecodeError as error:
        raise UsageError(str(error), where=f"{verb} JSON", next_step="see: footfall contract show cmd") from error


def _line(verb: str, response: Response) -> str:
    said: dict[str, object] = {
        name: value
        for name, value in msgspec.to_builtins(response).items()
        if name not in {"id", "status"} and value not in (None, [], ())
    }
    figures = "".join(f"\n  {name}: {msgspec.json.encode(value).decode()}" for name, value in said.items())
    return f"{verb}: {response.outcome.value}{figures}\n"
