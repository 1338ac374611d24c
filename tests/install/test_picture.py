"""Floor plan images: their size and their scale in three ways of writing it; what is no image."""

import math
import zlib
from pathlib import Path

import pytest
from PIL import Image

from hostkit.errors import InputError, UsageError
from hostkit.install.picture import Picture, Placed, box_of, read_picture, scale_of

PICTURE = Picture(path=Path("plan.png"), width_px=1000, height_px=800)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("width=25", 0.025),
        ("width = 25 m", 0.025),
        ("0.02", 0.02),
        ("0.02m/px", 0.02),
        ("0.02 m/px", 0.02),
        ("80,40:980,40=18", 0.02),
        ("100,100:400,500=10m", 0.02),  # 3, 4, 5
        ("400.5, 500 : 100.5, 100 = 10", 0.02),
    ],
)
def test_scale_is_metres_per_pixel_however_it_is_written(text: str, scale: float) -> None:
    assert scale_of(text, PICTURE) == pytest.approx(scale)


@pytest.mark.parametrize("text", ["", "big", "width=", "width=0", "-1", "nan", "inf", "1,1:1,1=5", "1,1:2,2", "1e9"])
def test_what_is_no_scale_is_refused_with_the_three_ways(text: str) -> None:
    with pytest.raises(UsageError, match=r"width=24\.5"):
        scale_of(text, PICTURE)


def test_a_box_may_be_named_by_any_two_corners() -> None:
    assert box_of("80,40:980,700", PICTURE) == box_of("980,700:80,40", PICTURE) == (80, 40, 980, 700)
    assert box_of(" ", PICTURE) == (0, 0, 1000, 800)


@pytest.mark.parametrize("text", ["80,40", "80,40:1001,700", "-1,0:5,5", "5,5:5,9", "a,b:c,d"])
def test_a_box_outside_the_picture_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="1000 × 800 pixels"):
        box_of(text, PICTURE)


def test_edges_put_the_box_corner_at_the_origin_and_y_up() -> None:
    placed = Placed(picture=PICTURE, metres_per_px=0.02, left_px=80, bottom_px=700)
    x_min, y_min, x_max, y_max = placed.edges_m()
    assert (x_min, y_min, x_max, y_max) == (-1.6, -2.0, 18.4, 14.0)
    assert math.isclose((x_max - x_min) / (y_max - y_min), 1000 / 800)


def test_sizes_of_png_jpeg_and_svg(tmp_path: Path) -> None:
    for name in ("a.png", "b.JPG"):
        Image.new("RGB", (320, 200), "white").save(tmp_path / name)
        assert (read_picture(tmp_path / name).width_px, read_picture(tmp_path / name).height_px) == (320, 200)
    svg = tmp_path / "c.svg"
    svg.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64.5 32"/>')
    assert (read_picture(svg).width_px, read_picture(svg).height_px) == (64.5, 32)
    svg.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="640px" height="480"/>')
    assert (read_picture(svg).width_px, read_picture(svg).height_px) == (640, 480)


def bad_pictures(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    good = tmp_path / "good.png"
    Image.effect_noise((300, 300), 50).save(good)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", (60_000).to_bytes(4) * 2 + b"\x08\x02\x00\x00\x00") + chunk(b"IEND", b"")
    )
    made = {
        "missing.png": (None, "No such file"),
        "plan.pdf": (b"%PDF", r"no \.png"),
        "text.png": (b"not an image", "no image"),
        "cut.png": (good.read_bytes()[:20_000], "cannot be read|damaged"),
        "bomb.png": (bomb, "60000 × 60000|damaged"),
        "empty.svg": (b"", "no SVG"),
        "html.svg": (b"<html/>", "without a size"),
        "sizeless.svg": (b'<svg width="100%" height="100%"/>', "without a size"),
        "nan.svg": (b'<svg viewBox="0 0 nan 5"/>', "is nan"),
        "zero.svg": (b'<svg viewBox="0 0 0 5"/>', "is 0 × 5"),
    }
    for name, (content, _) in made.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    return {name: (tmp_path / name, what) for name, (_, what) in made.items()}


def chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_picture_is_named_with_the_next_step(tmp_path: Path) -> None:
    for path, what in bad_pictures(tmp_path).values():
        with pytest.raises(InputError, match=what) as refusal:
            read_picture(path)
        assert str(path) in str(refusal.value)
        assert "PNG, JPEG or SVG" in str(refusal.value)
