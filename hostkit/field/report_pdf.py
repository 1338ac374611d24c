"""The report's page as a PDF (A4), with a font that has its letters embedded. Needs fpdf2, and for Chinese a font."""

import io
import struct
from pathlib import Path

import matplotlib
from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos
from fpdf.fonts import TTFFont

from hostkit.field.report import Page
from hostkit.io.fonts import packaged_font

MARGIN_MM, WIDTH_MM = 14.0, 182.0
MAP_MM, HIGHEST_MM, SIGNED_MM = 104.0, 98.0, 272.0
GREEN, RED, GREY = (0, 115, 79), (179, 38, 30), (90, 90, 90)
LATIN = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # DejaVu, which every installation has
# Where Debian, Windows and macOS keep a font with Chinese letters.
CHINESE = (
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simhei.ttf",
    "/System/Library/Fonts/STHeiti Medium.ttc",
    "/Library/Fonts/Arial Unicode.ttf",
)


def chinese_font(candidates: tuple[str, ...] = CHINESE) -> Path | None:
    """Give a font file with Chinese letters, if this computer has one of those known or `footfall[fonts]`."""
    return next((Path(one) for one in candidates if Path(one).is_file()), None) or packaged_font()


def pdf(page: Page, chinese: Path | None) -> bytes:
    """Draw the page. Without `chinese` letters that the Latin font lacks become `?`: give an English page then."""
    sheet = _Sheet(chinese)
    sheet.draw_title(page)
    sheet.draw_facts(page)
    sheet.draw_held(page)
    top = sheet.get_y() + 2
    bottom = max(sheet.draw_map(page, top), sheet.draw_right(page, top))
    sheet.set_y(bottom + 3)
    if page.rows:
        sheet.draw_rows(page)
    sheet.draw_signatures(page)
    return bytes(sheet.output())


class _Sheet(FPDF):
    """One A4 page that never breaks into a second."""

    def __init__(self, chinese: Path | None) -> None:
        super().__init__(format="A4")
        self._known: dict[str, set[int]] = {}
        self.set_margin(MARGIN_MM)
        self.set_auto_page_break(False)
        self.add_page()
        self._add("body", LATIN / "DejaVuSans.ttf", LATIN / "DejaVuSans-Bold.ttf")
        if chinese is not None:
            self._add("chinese", chinese, chinese)
        self.set_title("Footfall")

    def _add(self, name: str, plain: Path, bold: Path) -> None:
        self.add_font(name, "", plain)
        self.add_font(name, "B", bold)
        font = self.fonts[name]
        assert isinstance(font, TTFFont)
        self._known[name] = set(font.cmap)

    def draw_title(self, page: Page) -> None:
        """Draw title and result."""
        self.set_fill_color(*(GREEN if page.result == "PASS" else RED))
        self.set_text_color(255)
        self.set_xy(MARGIN_MM + WIDTH_MM - 46, MARGIN_MM)
        self.cell(46, 11, self._set(page.stamp, 16, "B"), align="C", fill=True)
        self.set_text_color(0)
        self.set_xy(MARGIN_MM, MARGIN_MM)
        self._set(page.title, 16, "B")
        size = 16 * min(1.0, (WIDTH_MM - 50) / self.get_string_width(page.title))
        title = self._cut(page.title, WIDTH_MM - 50, max(size, 11.0), "B")
        self.cell(WIDTH_MM - 48, 11, title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def draw_facts(self, page: Page) -> None:
        """Draw site, date, id and source, two in a line."""
        for at, (name, value) in enumerate(page.facts):
            left = MARGIN_MM + (at % 2) * WIDTH_MM / 2
            self.set_xy(left, 27 + at // 2 * 5)
            self.set_text_color(*GREY)
            self.cell(26, 5, self._set(name, 9))
            self.set_text_color(0)
            self.cell(WIDTH_MM / 2 - 27, 5, self._cut(value, WIDTH_MM / 2 - 28, 9))

    def draw_held(self, page: Page) -> None:
        """Draw the held-out error and what it means."""
        self.set_xy(MARGIN_MM, 41)
        self._heading(page.section("held_out"), WIDTH_MM)
        self.cell(WIDTH_MM, 10, self._set(page.headline, 18), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        for line in page.sentences:
            self._paragraph(line, MARGIN_MM, WIDTH_MM, 9.5)

    def draw_map(self, page: Page, top: float) -> float:
        """Draw the map on the left; give where it ends."""
        self.set_xy(MARGIN_MM, top)
        self._heading(page.section("map"), MAP_MM)
        wide, tall = struct.unpack(">II", page.picture[16:24])  # of a PNG (ISO 15948, 11.2.2)
        width = min(MAP_MM, HIGHEST_MM * wide / tall)
        self.image(io.BytesIO(page.picture), x=MARGIN_MM, y=self.get_y(), w=width)
        self.set_y(self.get_y() + width * tall / wide + 1)
        self.set_text_color(*GREY)
        self._paragraph(page.legend, MARGIN_MM, MAP_MM, 7.5)
        self.set_text_color(0)
        return float(self.get_y())

    def draw_right(self, page: Page, top: float) -> float:
        """Draw limits and what is weak on the right; give where it ends."""
        left, width = MARGIN_MM + MAP_MM + 5, WIDTH_MM - MAP_MM - 5
        self.set_xy(left, top)
        self._heading(page.section("limits"), width)
        for passed, line in page.checks:
            self.set_text_color(*((0, 0, 0) if passed else RED))
            self.set_x(left)
            self.cell(5, 4, self._set("✓" if passed else "✗", 8.5))
            self._paragraph(line, left + 5, width - 5, 8.5)
        self.set_text_color(0)
        self.set_xy(left, self.get_y() + 3)
        self._heading(page.section("weak"), width)
        for line in page.weak:
            if self.get_y() > SIGNED_MM - 40:
                break
            self.set_x(left)
            self.cell(5, 4, self._set("•", 8.5))
            self._paragraph(line, left + 5, width - 5, 8.5)
        return float(self.get_y())

    def draw_rows(self, page: Page) -> None:
        """Draw the table, columns as wide as they need."""
        size = 8.5 if len(page.header) < 9 else 6.5
        self.set_draw_color(200)
        first = 30.0 if len(page.header) < 9 else 20.0
        width = min((WIDTH_MM - first) / (len(page.header) - 1), 28.0)
        for number, row in enumerate((page.header, *page.rows)):
            if self.get_y() > SIGNED_MM - 8:
                break
            for at, cell in enumerate(row):
                room = first if not at else width
                shown = self._cut(cell, room - 1.5, size, "" if number else "B")
                self.cell(room, 4.6, shown, border="B", align="L" if not at else "R")
            self.set_xy(MARGIN_MM, self.get_y() + 4.6)

    def draw_signatures(self, page: Page) -> None:
        """Draw two lines at the foot."""
        self.set_draw_color(0)
        self.set_xy(MARGIN_MM, SIGNED_MM)
        self.cell(60, 5, self._set(page.section("signed"), 8.5))
        for at, name in enumerate(page.signatures):
            left = MARGIN_MM + at * (WIDTH_MM / 2 + 4)
            self.line(left, 283, left + WIDTH_MM / 2 - 4, 283)
            self.set_xy(left, 284)
            self.cell(60, 5, self._set(name, 8.5))

    def _heading(self, text: str, width: float) -> None:
        left = self.get_x()
        shown = self._set(text, 11, "B")
        self.multi_cell(width, 6, shown, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_x(left)

    def _paragraph(self, text: str, left: float, width: float, size: float) -> None:
        shown = self._set(text, size)
        self.set_x(left)
        wrap = WrapMode.CHAR if self.font_family == "chinese" else WrapMode.WORD
        self.multi_cell(width, size * 0.47, shown, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=wrap)

    def _cut(self, text: str, width: float, size: float, style: str = "") -> str:
        """Set the font and give the end of a text, as far as it fits."""
        text = self._set(text, size, style)
        while self.get_string_width(text) > width and len(text) > 2:
            text = f"…{text.removeprefix('…')[1:]}"
        return text

    def _set(self, text: str, size: float, style: str = "") -> str:
        """Set the font that has most of the letters, and give the text with `?` for those it lacks.

        Not fpdf2's fallback fonts: with them a text after a fallback is drawn in the wrong one (2.8.9).
        """
        missing = {name: sum(ord(char) not in known for char in text) for name, known in self._known.items()}
        name = min(missing, key=lambda one: missing[one])
        self.set_font(name, "B" if style else "", size)
        return "".join(char if ord(char) in self._known[name] else "?" for char in text)
