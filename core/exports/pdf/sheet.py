"""Printed A4 pages: text that always fits its box, lines, bars and images.

The font is DejaVu Sans (`assets/fonts`), which has Latin, Greek, Cyrillic, Arabic, Hebrew and more;
HarfBuzz shapes it and sets right-to-left names in their order. A character that it lacks, such as a
Chinese one, is printed as □.
"""

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, cast

from fpdf import FPDF
from fpdf.fonts import TTFFont
from PIL import Image

from core.domain.results import Pixels
from core.settings import PROJECT_ROOT

WIDTH, HEIGHT, MARGIN = 210.0, 297.0, 12.0
"""A4 in millimetres; coordinates run right and down from the top left corner."""
MISSING = "□"
Align = Literal["L", "C", "R"]
INK, GREY, FAINT = "#1A1A1A", "#5A5A5A", "#C8C8C8"

_FAMILY = "dejavu"
_FONTS = PROJECT_ROOT / "assets" / "fonts"
_LINE_SPACING = 1.25
_LONGEST = 1000
"""Characters of a text that are printed at most; no line holds as many."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a text is set: size in points, colour in hex."""

    size: float = 7.5
    bold: bool = False
    colour: str = INK
    align: Align = "L"

    @property
    def height(self) -> float:
        """Height of a line in millimetres."""
        return self.size * 25.4 / 72 * _LINE_SPACING


PLAIN = Style()


class Sheet:
    """Pages under construction; places and sizes are in millimetres on the last one."""

    def __init__(self, title: str) -> None:
        self._pdf = FPDF(unit="mm", format="A4")
        self._pdf.set_auto_page_break(False)
        for style, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            self._pdf.add_font(_FAMILY, style, _FONTS / file)
        # The bold file is a subset (Latin, Greek, Cyrillic, Hebrew, Arabic): others are not bold.
        self._pdf.set_fallback_fonts([_FAMILY], exact_match=False)
        self._pdf.set_text_shaping(True)
        self._pdf.set_image_filter("DCTDecode")
        self._pdf.set_title(title)
        self._pdf.set_creator("Leukoscope")
        self._pdf.set_lang("en-GB")
        self.add_page()
        self.has_missing = False
        """Whether a character was replaced by □."""

    def add_page(self) -> None:
        """Go on with another page."""
        self._pdf.add_page()
        self._pdf.set_font(_FAMILY, "", 8)

    def text(self, place: tuple[float, float, float], text: str, style: Style = PLAIN) -> None:
        """Write one line at `(x, y, width)`, cut with an ellipsis where it would not fit."""
        x, y, width = place
        self._use(style)
        self._pdf.set_xy(x, y)
        fitting = self._fit(self._printable(text), width)
        self._pdf.cell(width, style.height, fitting, align=style.align)

    def paragraph(
        self, place: tuple[float, float, float], text: str, style: Style = PLAIN, *, most: int = 3
    ) -> float:
        """Write a text broken into lines of a width, `most` at most; return the y below it."""
        x, y, width = place
        self._use(style)
        printable = self._printable(text)
        lines = self._pdf.multi_cell(width, text=printable, dry_run=True, output="LINES", align="L")
        assert isinstance(lines, list)
        if len(lines) > most:
            lines[most - 1] += "…"
        for line in lines[:most]:
            self.text((x, y, width), line, style)
            y += style.height
        return y

    def broken(self, text: str, width: float, style: Style = PLAIN) -> list[str]:
        """Return the lines of a whole text, its own and those that the width breaks it into."""
        self._use(style)
        lines: list[str] = []
        for line in text.splitlines():
            for start in range(0, max(len(line), 1), _LONGEST):
                printable = self._printable(line[start : start + _LONGEST]) or " "
                found = self._pdf.multi_cell(
                    width, text=printable, dry_run=True, output="LINES", align="L"
                )
                assert isinstance(found, list)
                lines += found
        return lines

    def line(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: str = INK,
        width: float = 0.2,
    ) -> None:
        """Draw a straight line."""
        self._pdf.set_draw_color(colour)
        self._pdf.set_line_width(width)
        self._pdf.line(*start, *end)

    def bar(self, box: tuple[float, float, float, float], colour: str) -> None:
        """Fill a rectangle `(x, y, width, height)`."""
        self._pdf.set_fill_color(colour)
        self._pdf.rect(*box, style="F")

    def dot(self, centre: tuple[float, float], radius: float, colour: str) -> None:
        """Fill a circle."""
        self._pdf.set_fill_color(colour)
        self._pdf.circle(*centre, radius, style="F")

    def image(
        self, box: tuple[float, float, float, float], pixels: Pixels, frame: str, alt: str
    ) -> None:
        """Put a image (H x W x 3) into a frame of a colour; `alt` describes it."""
        x, y, width, height = box
        image = Image.fromarray(pixels)
        self._pdf.image(image, x, y, width, height, alt_text=self._printable(alt))
        self._pdf.set_draw_color(frame)
        self._pdf.set_line_width(0.5)
        self._pdf.rect(x, y, width, height)

    def output(self) -> bytes:
        """Return the PDF."""
        return bytes(self._pdf.output())

    def _use(self, style: Style) -> None:
        self._pdf.set_font(_FAMILY, "B" if style.bold else "", style.size)
        self._pdf.set_text_color(style.colour)

    def _printable(self, text: str) -> str:
        """Replace what cannot be printed, and drop what would turn or hide other text."""
        known = cast("TTFFont", self._pdf.fonts[_FAMILY]).cmap
        kept = ""
        for character in unicodedata.normalize("NFC", text[:_LONGEST]):
            category = unicodedata.category(character)
            if category in ("Cc", "Zl", "Zp"):
                kept += " "
            elif category != "Cf":
                is_known = ord(character) in known
                kept += character if is_known else MISSING
                self.has_missing |= not is_known
        return kept

    def _fit(self, text: str, width: float) -> str:
        room = width - 2 * self._pdf.c_margin
        if self._pdf.get_string_width(text) <= room:
            return text
        lengths = range(1, len(text))
        fits = bisect_right(lengths, room, key=lambda n: self._pdf.get_string_width(f"{text[:n]}…"))
        return f"{text[:fits]}…"
