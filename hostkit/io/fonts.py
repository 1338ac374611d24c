"""Fonts with Chinese characters on this machine, for drawings. Draws nothing."""

import importlib.util
import logging
from contextlib import suppress
from functools import cache
from pathlib import Path

from matplotlib import font_manager

# As Debian, Windows, macOS and Android name them; the last are larger than needed but have every character.
NAMES = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "Noto Sans CJK JP", "Arial Unicode MS",
)  # fmt: skip
FILES = ("noto", "sourcehan", "wqy", "msyh", "simhei", "pingfang", "hiragino", "stheiti", "arialuni")  # begin so
PACKAGE, PACKAGED = "pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"  # a wheel that `footfall bundle` takes along


@cache
def chinese_font() -> str | None:
    """Give the family name of a font with simplified Chinese, None where there is none."""
    return _known() or _since_installed() or _packaged()


def _known() -> str | None:
    known = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in NAMES if name in known), None)


def _since_installed() -> str | None:
    """Look again: matplotlib keeps its list of fonts from the first time it ran."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if Path(path).name.lower().replace("-", "").startswith(FILES) and path not in known:
            with suppress(RuntimeError, OSError):  # a file that is no font
                font_manager.fontManager.addfont(path)
    return _known()


def packaged_font() -> Path | None:
    """Give the font file that `footfall[fonts]` installs, None where it is not."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for folder in folders if (path := Path(folder) / PACKAGED).is_file()), None)


def _packaged() -> str | None:
    path = packaged_font()
    if path is None:
        return None
    font_manager.fontManager.addfont(str(path))
    return font_manager.FontProperties(fname=str(path)).get_name()


def families() -> list[str]:
    """Give what to draw text with: the default, then what has the characters it lacks."""
    chinese = chinese_font()
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # no bold Chinese: that is no news
    return ["DejaVu Sans", *([chinese] if chinese else [])]
