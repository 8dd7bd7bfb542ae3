"""Micrometres per pixel of a field: the header's if the cells confirm it, else the red cells'."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from PIL import Image

from core.domain.boxes import Box, image_box
from core.domain.results import Scale

MICROSCOPE_SCALES = (0.02, 2.0)
"""Micrometres per pixel of light microscopes with a camera; 72 or 300 dpi are far outside."""

RED_CELL_MICROMETRES = 7.5
"""Mean diameter of a red cell on a dried smear (6.2-8.2 µm across all healthy cells)."""

WHITE_CELL_MICROMETRES = 12.0
"""Diameter of the median white cell in fields of suspected ALL: 11-12 µm by class on 90 fields,
6.9-19 in single ones. A rough ruler where red cells are too few."""
MINIMUM_WHITE_CELLS = 3
MINIMUM_RED_CELLS = 5
FEW_RED_CELLS = 2
"""Enough for a rough scale, which the crops of the classifier need."""
AGREEMENT = 1.4
"""Largest factor between the scales of a header and of at least five red cells.

Of 1,269 training and validation images of nine sources, each taken at one magnification, the red
cells give 0.83-1.29 times the median scale of their source, but for five fields of suspected ALL,
where red cells are rare (up to 1.70): 2 of 1,269 lie beyond 1.4. Objectives that are mixed up are
farther apart: 40 and 60 x by 1.5, 63 and 100 x by 1.59.
"""
ROUGH_AGREEMENT = 2.0
"""The same for two to four red cells: 0.86-1.78 on 165 of 166 such images, 2.15 on one."""
WHITE_CELL_MEDIANS = (5.5, 25.0)
"""Diameter in micrometres of the median white cell of a field: 6.4-22.5 on 1,286 training and
validation images of human blood, with a tenth to spare on both sides."""
POSSIBLE_CELLS = (4.0, 40.0)
"""Diameter in micrometres of white cells. No white cell of 1,221 training and validation images of
human blood that have five red cells lies outside."""
CONFIDENT_SCORE = 0.5
"""Detections of red cells below this score are not measured."""
_IMAGEJ_UNIT = re.compile(r"^unit=(.+?)\s*$", re.MULTILINE)
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
_ATTRIBUTE = re.compile(r"(\w+)\s*=\s*([\"'])(.*?)\2")
_UNITS = {
    "m": 1e6,
    "dm": 1e5,
    "cm": 10_000.0,
    "mm": 1000.0,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "Å": 1e-4,
    "in": 25_400.0,
    "inch": 25_400.0,
    "inche": 25_400.0,
}
"""Micrometres in a unit of length."""
BORDER_PIXELS = 2
"""A box this close to the edge of the image may hold a truncated cell."""


@dataclass(frozen=True, slots=True)
class FieldScale:
    """The scale of a field after its header was compared with its cells."""

    scale: Scale | None
    """None when it is unknown, or when the cells contradict the header and cannot replace it."""
    warning: str | None = None
    """A sentence for the user when the header does not fit the cells."""
    is_settled: bool = True
    """False when the cells contradict the header and cannot replace it: classify nothing."""

    @property
    def micrometres_per_pixel(self) -> float | None:
        """The scale as a number; None when it is unknown."""
        return None if self.scale is None else self.scale.micrometres_per_pixel


def field_scale(
    header: float | None,
    size: tuple[int, int],
    red_cells: Iterable[Box],
    white_cells: Iterable[Box] = (),
) -> FieldScale:
    """Return the scale of a field of `size` (width, height in pixels), checked against its cells.

    `header` is in micrometres per pixel. Five whole red cells or more (confident ones) are a ruler:
    it serves where there is no header, and replaces a header that it contradicts. Fewer red cells
    and the median white cell can contradict a header, but not replace it.
    """
    red = [box.diameter for box in red_cells if is_whole(box, *size)]
    white = [box.diameter for box in white_cells if is_whole(box, *size)]
    ruled = _ruled(red, MINIMUM_RED_CELLS)
    if header is None:
        return FieldScale(None if ruled is None else Scale(ruled, "red cells"))
    if ruled is not None:
        if _agree(header, ruled, AGREEMENT):
            return FieldScale(Scale(header, "file"))
        return FieldScale(
            Scale(ruled, "red cells"),
            f"{_misfit(header, red, 'red')} The scale of the red cells, {ruled:.3f} µm per pixel, "
            "is used instead. Check the calibration of the objective.",
        )
    rough = _ruled(red, FEW_RED_CELLS)
    kind, measured = ("red", red) if rough is not None else ("white", white)
    fits = rough is None or _agree(header, rough, ROUGH_AGREEMENT)
    if fits and white:
        low, high = WHITE_CELL_MEDIANS
        fits = low <= header * median(white) <= high
        kind, measured = "white", white
    if fits:
        return FieldScale(Scale(header, "file"))
    return FieldScale(
        None,
        f"{_misfit(header, measured, kind)} There are too few red cells to measure the scale, so "
        "nothing is classified. Check the calibration of the objective, or take a field with at "
        f"least {MINIMUM_RED_CELLS} whole red cells.",
        is_settled=False,
    )


def is_possible(box: Box, scale: float, *, white: bool) -> bool:
    """Return whether a cell can have this size; `scale` is in micrometres per pixel.

    Platelets and fragments of red cells may be smaller than any white cell.
    """
    low, high = POSSIBLE_CELLS
    diameter = box.diameter * scale
    return diameter <= high and (not white or diameter >= low)


def _agree(one: float, other: float, factor: float) -> bool:
    return 1 / factor <= one / other <= factor


def _misfit(header: float, diameters: Sequence[float], kind: str) -> str:
    low, high = POSSIBLE_CELLS
    diameter = header * median(diameters)
    verdict = "does not fit" if low <= diameter <= high else "is impossible for"
    return (
        f"The scale in the file, {header:.3g} µm per pixel, {verdict} this field: its {kind} cells "
        f"would be {diameter:.3g} µm across."
    )


def red_cell_scale(
    red_cells: Iterable[Box], width: int, height: int, at_least: int = MINIMUM_RED_CELLS
) -> float | None:
    """Return micrometres per pixel from the boxes of red cells, or None with too few whole ones.

    Their median diameter is taken as 7.5 µm. The median tolerates overlapping cells and a few
    wrong boxes.
    """
    return _ruled([box.diameter for box in red_cells if is_whole(box, width, height)], at_least)


def white_cell_scale(white_cells: Iterable[Box], width: int, height: int) -> float | None:
    """Return a rough scale in micrometres per pixel from whole white cells; None with too few.

    Good enough to split a field into tiles, not to measure cells.
    """
    whole = [box.diameter for box in white_cells if is_whole(box, width, height)]
    return WHITE_CELL_MICROMETRES / median(whole) if len(whole) >= MINIMUM_WHITE_CELLS else None


def _ruled(diameters: Sequence[float], at_least: int) -> float | None:
    return RED_CELL_MICROMETRES / median(diameters) if len(diameters) >= at_least else None


def header_scale(image: Image.Image) -> float | None:
    """Return micrometres per pixel from a header's dots per inch if a microscope can give them.

    Of every format but TIFF, whose tags `tiff_scale` reads.
    """
    try:
        across, down = (25_400 / float(dpi) for dpi in image.info["dpi"])
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None
    return microscope_scale((across, down))


def tiff_scale(description: str, resolution: tuple[float, float] | None, unit: int) -> float | None:
    """Return micrometres per pixel from the tags of a TIFF page if a microscope can give them.

    `description` is ImageDescription, `resolution` pixels per unit across and down, `unit`
    ResolutionUnit: 2 inch, 3 centimetre. OME-TIFF writes PhysicalSizeX and PhysicalSizeY into the
    description; ImageJ names the unit of the resolution there. Both go before ResolutionUnit.
    """
    if _OME_PIXELS.search(description):
        return ome_scale(description)
    if resolution is None or min(resolution) <= 0:
        return None
    micrometres = {2: 25_400.0, 3: 10_000.0}.get(unit)
    if description.startswith("ImageJ=") and (named := _IMAGEJ_UNIT.search(description)):
        micrometres = _micrometres(named[1])
    if micrometres is None:
        return None
    return microscope_scale((micrometres / resolution[0], micrometres / resolution[1]))


def ome_scale(description: str) -> float | None:
    """Return micrometres per pixel of the first image of OME-XML if a microscope can give them.

    PhysicalSizeX and PhysicalSizeY, each with its unit (µm unless named; OME schema 2016-06). The
    size across is taken for both when only that is given.
    """
    found = _ome_pixels(description)
    across = _physical_size(found, "X")
    down = _physical_size(found, "Y") if "PhysicalSizeY" in found else across
    return None if across is None or down is None else microscope_scale((across, down))


def ome_step(description: str) -> float | None:
    """Return the micrometres between focal planes of the first image of OME-XML, if it says it."""
    return _physical_size(_ome_pixels(description), "Z")


def _ome_pixels(description: str) -> dict[str, str]:
    """Return the attributes of the first image of OME-XML."""
    pixels = _OME_PIXELS.search(description)
    found = _ATTRIBUTE.findall(pixels[1]) if pixels else ()
    return {name: html.unescape(text) for name, _, text in found}


def _physical_size(attributes: Mapping[str, str], axis: str) -> float | None:
    unit = _micrometres(attributes.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        return None if unit is None else unit * float(attributes[f"PhysicalSize{axis}"])
    except (KeyError, ValueError):
        return None


def _micrometres(unit: str) -> float | None:
    """Return how many micrometres a unit of length has, as OME or ImageJ writes it."""
    # Readers of TIFF tags take UTF-8 for Latin-1.
    with suppress(UnicodeError):
        unit = unit.encode("latin-1").decode()
    name = unit.strip().replace("\\u00B5", "µ").replace("μ", "µ")
    return _UNITS.get(name) or _UNITS.get(name.lower().rstrip("s"))


def microscope_scale(micrometres: tuple[float, float] | None) -> float | None:
    """Return the scale across if pixels are square and a microscope can have made them."""
    across, down = micrometres or (0.0, 0.0)
    low, high = MICROSCOPE_SCALES
    return across if low <= across <= high and abs(across - down) <= 0.02 * across else None


def is_whole(box: Box, width: int, height: int) -> bool:
    """Return whether a box keeps off the edges of the image, so that its cell is not truncated."""
    return box.margin_within(image_box(width, height)) >= BORDER_PIXELS
