"""`footfall site init`: asks an installer and writes site.toml. No logic."""

import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

import click

from hostkit.cli import text
from hostkit.errors import HostkitError, InputError, UsageError
from hostkit.install import sitefile
from hostkit.install.picture import Placed, box_of, read_picture, scale_of
from hostkit.install.sitefile import MAX_PROBES, SIDES, Answers
from hostkit.model import ID_PATTERN

Given = Mapping[str, str]  # answers by the name of their option, as written
_MAX_ANSWERS_BYTES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`check` raises HostkitError for what is no answer; `default`, from what was said before; None: there is none."""

    key: str
    asks: str
    check: Callable[[str, Given], object]
    default: Callable[[Given], str | None] = lambda _: None
    applies: Callable[[Given], bool] = lambda _: True


def _picture(given: Given) -> bool:
    return bool(given.get("plan"))


def _id(value: str, given: Given) -> None:
    if not re.fullmatch(ID_PATTERN, value):
        raise UsageError(f"{value[:40]!a} is no id", where="id", next_step="write 1 to 32 of a-z, 0-9 and -")


def _time_zone(value: str, given: Given) -> None:
    if value not in available_timezones():
        raise UsageError(
            f"{value[:40]!a} is unknown", where="time zone", next_step="write it as Europe/Berlin or Asia/Shanghai"
        )


def _side(value: str, given: Given) -> None:
    if value not in SIDES:
        raise UsageError(f"{value[:40]!a} is no side", where="entrance", next_step=f"write one of {', '.join(SIDES)}")


def _count(value: str, given: Given) -> None:
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= MAX_PROBES):
        raise UsageError(f"{value[:40]!a} is no number", where="probes", next_step=f"write 1 to {MAX_PROBES}")


def _plan(value: str, given: Given) -> None:
    if value:
        read_picture(Path(value))


QUESTIONS = (
    Question(key="name", asks="What do people call the shop?", check=lambda *_: None),
    Question(key="tenant", asks="Short id of the chain or owner (a-z, 0-9, -)", check=_id),
    Question(
        key="site",
        asks="Short id of this shop",
        check=_id,
        default=lambda given: sitefile.slug(given.get("name", "")) or None,
    ),
    Question(key="time-zone", asks="Time zone, such as Europe/Berlin or Asia/Shanghai", check=_time_zone),
    Question(
        key="hours",
        asks="Opening hours, such as mon-fri 09:00-20:00; sat 10:00-16:00; sun closed",
        check=lambda value, _: sitefile.hours_of(value),
    ),
    Question(key="plan", asks="Picture of the floor plan (PNG, JPEG, SVG; empty: none)", check=_plan,
             default=lambda _: ""),
    Question(
        key="scale",
        asks="Its scale: width=24.5 (metres of the whole picture), 0.02m/px, or two points and metres: 80,40:980,40=18",
        check=lambda value, given: scale_of(value, read_picture(Path(given["plan"]))),
        applies=_picture,
    ),
    Question(
        key="shop",
        asks="The shop in the picture, in pixels: left,top:right,bottom (empty: all of it)",
        check=lambda value, given: box_of(value, read_picture(Path(given["plan"]))),
        default=lambda _: "",
        applies=_picture,
    ),
    Question(
        key="size",
        asks="Inside of the shop in metres, to the right x up on the plan: 20x15",
        check=lambda value, _: sitefile.size_of(value),
        applies=lambda given: not _picture(given),
    ),
    Question(
        key="entrance", asks=f"On which side of the plan is the entrance ({', '.join(SIDES)})?", check=_side,
        default=lambda _: "bottom",
    ),
    Question(key="probes", asks="How many probes?", check=_count, default=lambda _: "4"),
)  # fmt: skip


@click.command(
    epilog="""Examples:

    \b
      footfall site init
      footfall site init shop/site.toml --name "Acme, Main Street" --tenant acme --site main-street
          --time-zone Europe/Berlin --hours "mon-sat 09:00-20:00; sun closed" --size 20x15 --entrance bottom --probes 4
      footfall site init --answers answers.toml
      footfall site init --plan plan.png --scale "80,40:980,40=18" --shop "80,40:980,700" ...

    \b
    Exit codes: 0 written, 2 an answer is missing or wrong or the file is there already, 3 the plan or the answers
    cannot be read, 5 cannot be written, 130 stopped by you."""
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default=Path("site.toml"), metavar="[FILE]")
@click.option("--name", help="What people call the shop.")
@click.option("--tenant", metavar="ID", help="Chain or owner.")
@click.option("--site", metavar="ID", help="This shop.  [default: made of the name]")
@click.option("--time-zone", metavar="ZONE", help="IANA name, such as Europe/Berlin.")
@click.option("--hours", metavar="TEXT", help="mon-fri 09:00-20:00; sat 10:00-16:00; sun closed.")
@click.option("--size", metavar="WxD", help="Inside of the shop in metres, where there is no picture.")
@click.option("--plan", metavar="FILE", help="Floor plan, PNG, JPEG or SVG; it is copied beside site.toml.")
@click.option("--scale", metavar="TEXT", help="width=24.5, 0.02m/px, or x,y:x,y=METRES.")
@click.option("--shop", metavar="BOX", help="left,top:right,bottom of the shop in the picture.  [default: all]")
@click.option("--entrance", metavar="SIDE", help="bottom, top, left or right of the plan.  [default: bottom]")
@click.option("--probes", metavar="N", help="How many.  [default: 4]")
@click.option(
    "--street-m",
    type=click.FloatRange(1, 50),
    default=sitefile.STREET_M,
    show_default=True,
    help="How much of the street is mapped.",
)
@click.option("--ceiling-m", type=click.FloatRange(2, 20), help="Height of a ceiling that probes may be mounted under.")
@click.option("--answers", type=click.Path(path_type=Path, readable=False), metavar="FILE",
              help="TOML file with answers by the names of these options.")  # fmt: skip
def init(*, path: Path, street_m: float, ceiling_m: float | None, answers: Path | None, **options: str | None) -> None:
    """Write a commented site.toml for a new shop. What no option says is asked, one plain question after the other.

    The shop begins as a box with a street, a door and suggested places for the probes; the file is yours to edit.
    Nothing is overwritten.
    """
    if path.exists():
        raise UsageError("is there already", where=str(path), next_step="edit it, or name another file to begin anew")
    said = {key.replace("_", "-"): value for key, value in options.items() if value is not None}
    given = _complete(_answers_file(answers) | said)
    placed = _placed(given)
    size = sitefile.size_of(given["size"]) if placed is None else _inside_m(placed, given)
    site = sitefile.draft(
        Answers(
            name=given["name"], tenant=given["tenant"], site=given["site"], time_zone=given["time-zone"],
            hours=sitefile.hours_of(given["hours"]), shop_m=size,
            entrance=next(side for side in SIDES if side == given["entrance"]), probes=int(given["probes"]),
            plan=placed, street_m=street_m, ceiling_m=ceiling_m,
        )
    )  # fmt: skip
    for written in sitefile.write_draft(site, path, placed):
        text.remark(f"{written}: written")
    text.remark(f"next: footfall site check {path}")


def _complete(given: dict[str, str]) -> Given:
    """Ask for what is missing, or say what that is where nobody can be asked."""
    missing = []
    for question in QUESTIONS:
        default = question.default(given)
        if not question.applies(given):
            if question.key in given:
                with_or = "without a picture" if question.key == "size" else "with a picture"
                raise UsageError(f"goes {with_or}", where=f"--{question.key}", next_step="leave it out, or see --plan")
        elif question.key in given:
            _check(question, given[question.key], given)
        elif sys.stdin.isatty():
            given[question.key] = _ask(question, default, given)
        elif default is not None:
            given[question.key] = default
        else:
            missing.append(f"--{question.key}")
    if missing:
        step = "add them, or run it in a terminal to be asked"
        raise UsageError(f"not said: {', '.join(missing)}", where="site init", next_step=step)
    return given


def _check(question: Question, value: str, given: Given) -> None:
    try:
        question.check(value, given)
    except UsageError as error:
        raise UsageError(error.what, where=f"--{question.key}", next_step=error.next_step) from error


def _ask(question: Question, default: str | None, given: Given) -> str:
    def accepted(value: str) -> str:
        try:
            question.check(value.strip(), given)
        except HostkitError as error:
            raise click.UsageError(f"{error.what}; {error.next_step}") from error
        return value.strip()

    answer: str = click.prompt(
        question.asks, default=default, value_proc=accepted, err=True, show_default=bool(default)
    )
    return answer


def _answers_file(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            tree = tomllib.loads(file.read(_MAX_ANSWERS_BYTES).decode())
    except (OSError, ValueError) as error:
        what = f"cannot be read ({error})" if not isinstance(error, OSError) else f"cannot be read ({error.strerror})"
        raise InputError(what, where=str(path), next_step='write one answer a line: name = "Acme"') from error
    known = {question.key for question in QUESTIONS}
    for key, value in tree.items():
        if key not in known or not isinstance(value, str | int | float):
            raise InputError(
                f"{key[:40]!a} is no answer", where=str(path), next_step=f"known are {', '.join(sorted(known))}"
            )
    return {key: str(value) for key, value in tree.items()}


def _placed(given: Given) -> Placed | None:
    if not _picture(given):
        return None
    picture = read_picture(Path(given["plan"]))
    left, _, _, bottom = box_of(given["shop"], picture)
    return Placed(picture=picture, metres_per_px=scale_of(given["scale"], picture), left_px=left, bottom_px=bottom)


def _inside_m(placed: Placed, given: Given) -> tuple[float, float]:
    left, top, right, bottom = box_of(given["shop"], placed.picture)
    width, depth = (right - left) * placed.metres_per_px, (bottom - top) * placed.metres_per_px
    return sitefile.size_of(f"{width:.2f}x{depth:.2f}")
