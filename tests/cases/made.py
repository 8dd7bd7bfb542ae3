"""Cells, analyses and people for tests of the case database."""

from core.cases.records import NewField, User
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, Scale
from core.domain.taxonomy import CELL_TYPES

REVIEWER = User("ana@lab", "reviewer")
SECOND = User("ben@lab", "reviewer")
VIEWER = User("eve@lab", "viewer")
ADMIN = User("ada@lab", "admin")


def white(type_="neutrophil", confidence=0.9, status="classified", x=10.0):
    rest = (1 - confidence) / (len(CELL_TYPES) - 1)
    probabilities = {key: confidence if key == type_ else rest for key in CELL_TYPES}
    return Cell("wbc", Box(x, 20.5, 30, 31.25), confidence, status, type_, probabilities, 0.8)


def red(x=50.0):
    return Cell("rbc", Box(x, 5, 20.1, 20.2), 0.7, detection_score=0.7)


def analysis_of(image, *cells):
    return FieldAnalysis(
        file=image.name,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        properties=image.properties,
        cells=cells,
        scale=Scale(0.1234567890123, "red cells"),
        seconds=0.25,
        page=image.page,
    )


def new_field(image, *cells, **more):
    return NewField(image, analysis_of(image, *cells), {"detector": "1", "wbc": "2"}, **more)
