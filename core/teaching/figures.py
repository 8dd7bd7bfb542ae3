"""Pictures of the atlas with a scale bar and numbered labels; fields with named cells."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.domain.results import Pixels
from core.domain.taxonomy import label_colour
from core.settings import PROJECT_ROOT
from core.synthetic.fields import SyntheticCell
from core.synthetic.painter import Point
from core.synthetic.portraits import Portrait

BAR_MICROMETRES = 5
_INK = (38, 28, 48)
_FONT = PROJECT_ROOT / "assets" / "fonts" / "DejaVuSans-Bold.ttf"
_RING = 0.425
"""Distance of the markers from the middle, over the side."""
_LEAST_ANGLE = np.radians(34)


def _angles(places: list[Point]) -> list[float]:
    """Return a direction for each marker: towards its place, but apart from the others."""
    wanted = [np.arctan2(y, x) if np.hypot(x, y) > 0.8 else -np.pi / 4 for x, y in places]
    chosen: dict[int, float] = {}
    for number in np.argsort(wanted):
        angle = wanted[number]
        if chosen:
            angle = max(angle, max(chosen.values()) + _LEAST_ANGLE)
        chosen[int(number)] = angle
    return [chosen[number] for number in range(len(places))]


def with_labels(portrait: Portrait, *, labels: bool = True) -> Pixels:
    """Return a portrait with a scale bar and, if wanted, its notes numbered from 1."""
    image = Image.fromarray(portrait.pixels)
    draw = ImageDraw.Draw(image)
    size, scale = image.width, image.width / portrait.side
    font = ImageFont.truetype(str(_FONT), round(0.034 * size))
    _draw_bar(draw, size, scale, font)
    if labels:
        _draw_markers(draw, portrait.notes, size, scale, font)
    return np.asarray(image)


def _draw_bar(
    draw: ImageDraw.ImageDraw, size: int, scale: float, font: ImageFont.FreeTypeFont
) -> None:
    margin, height = 0.03 * size, max(2, round(0.009 * size))
    left, bottom = size - margin - BAR_MICROMETRES * scale, size - margin
    plate = (left - 0.015 * size, bottom - 0.075 * size, size - 0.012 * size, size - 0.012 * size)
    draw.rounded_rectangle(plate, 0.012 * size, fill=(255, 255, 255))
    draw.rectangle((left, bottom - height, size - margin, bottom), fill=_INK)
    middle = (left + size - margin) / 2, bottom - height - 0.008 * size
    draw.text(middle, f"{BAR_MICROMETRES} µm", fill=_INK, font=font, anchor="mb")


def _draw_markers(
    draw: ImageDraw.ImageDraw,
    notes: Mapping[str, Point],
    size: int,
    scale: float,
    font: ImageFont.FreeTypeFont,
) -> None:
    places = list(notes.values())
    for number, (place, angle) in enumerate(zip(places, _angles(places), strict=True), 1):
        x, y = (size / 2 + scale * c for c in place)
        at = size / 2 + _RING * size * np.cos(angle), size / 2 + _RING * size * np.sin(angle)
        width = max(2, round(0.005 * size))
        draw.line((*at, x, y), fill=(255, 255, 255), width=3 * width)
        draw.line((*at, x, y), fill=_INK, width=width)
        draw.circle((x, y), 0.009 * size, fill=_INK, outline=(255, 255, 255), width=width // 2 + 1)
        draw.circle(at, 0.032 * size, fill=(255, 255, 255), outline=_INK, width=width)
        draw.text(at, str(number), fill=_INK, font=font, anchor="mm")


def with_names(
    pixels: Pixels, cells: Sequence[SyntheticCell], name: Callable[[SyntheticCell], str]
) -> Pixels:
    """Return a field with its white cells boxed and named."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    line = max(2, round(image.width / 400))
    font = ImageFont.truetype(str(_FONT), round(image.width / 70))
    for cell in cells:
        if cell.kind != "wbc":
            continue
        box, colour = cell.box, label_colour(cell.type)
        draw.rectangle((box.x, box.y, box.right, box.bottom), outline=colour, width=line)
        at = box.x, max(box.y, font.size * 1.3)
        plate = draw.textbbox(at, name(cell), font=font, anchor="lb")
        draw.rectangle((plate[0] - 3, plate[1] - 3, plate[2] + 3, plate[3] + 2), fill=colour)
        draw.text(at, name(cell), fill=(255, 255, 255), font=font, anchor="lb")
    return np.asarray(image)
