"""Where a field of a case lies in its slide: the name of the field says it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.domain.results import FieldAnalysis
from core.slides.folders import SlideFile

_AT = re.compile(r"(?P<slide>.+) at (?P<x>\d{1,9}), (?P<y>\d{1,9})", re.ASCII)


def field_name(slide: str, left: int, top: int) -> str:
    """Return the name of a field that was cut from a slide."""
    return f"{slide} at {left}, {top}"


@dataclass(frozen=True, slots=True)
class SlidePlace:
    """The middle of a field in a slide, in pixels of level 0."""

    slide: SlideFile
    x: int
    y: int


def place_of(field: FieldAnalysis, slides: Callable[[], Iterable[SlideFile]]) -> SlidePlace | None:
    """Return where a field lies; None unless exactly one of the slides has the name.

    `slides` is asked for fields of slides only.
    """
    found = _AT.fullmatch(field.file)
    if found is None:
        return None
    named = [slide for slide in slides() if slide.name == found["slide"]]
    if len(named) != 1:
        return None
    x, y = int(found["x"]) + field.width // 2, int(found["y"]) + field.height // 2
    return SlidePlace(named[0], x, y)
