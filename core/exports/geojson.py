"""Cells and regions of a slide as GeoJSON, as QuPath reads and writes them.

QuPath (Bankhead et al. 2017, Sci Rep 7:16878) has objects as features with a polygon in pixels of
level 0, `objectType`, `name` and `classification`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain.results import Cell, FieldAnalysis
from core.errors import GeoJSONError

MEDIA_TYPE = "application/geo+json"
MOST_BYTES = 50_000_000
MOST_REGIONS = 1_000
_MOST_POINTS = 100_000
_NAME_LENGTH = 80


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A named region: rings of n x 2 points, x and y in pixels of level 0."""

    name: str
    rings: tuple[NDArray[np.float64], ...]
    """Outlines and holes: by the even-odd rule a point in an even number of them is outside."""

    def holds(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of n points are inside."""
        inside: NDArray[np.bool_] = np.zeros(len(x), np.bool_)
        for ring in self.rings:
            for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if y1 == y2:
                    continue
                crosses = (y1 > y) != (y2 > y)
                inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        return inside

    def cells(self, cells: Iterable[Cell]) -> tuple[Cell, ...]:
        """Return the cells whose middle is inside."""
        known = tuple(cells)
        middles = np.array([cell.box.centre for cell in known], np.float64).reshape(-1, 2)
        inside = self.holds(middles[:, 0], middles[:, 1])
        return tuple(cell for cell, is_inside in zip(known, inside, strict=True) if is_inside)


def cells_geojson(
    analysis: FieldAnalysis | None, remarks: Iterable[tuple[float, float, str]] = ()
) -> bytes:
    """Return the white cells of a slide as detections, classified by type.

    `remarks` at places (x, y, text) become annotations that are points.
    """
    cells = analysis.white_cells() if analysis else ()
    points = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [x, y]},
            "properties": {"objectType": "annotation", "name": text},
        }
        for x, y, text in remarks
    ]
    return _collection([*(_feature(number, cell) for number, cell in cells), *points])


def read_regions(data: bytes) -> list[Region]:
    """Return the regions of a GeoJSON file; points and lines are passed over. Raises GeoJSONError.

    Detections, such as those of `cells_geojson`, are regions too.
    """
    if len(data) > MOST_BYTES:
        raise GeoJSONError(f"it is larger than {MOST_BYTES // 1_000_000} MB")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GeoJSONError("it is no JSON") from error
    regions: list[Region] = []
    points = 0
    for feature in _features(found):
        rings = tuple(_rings(feature.get("geometry")))
        points += sum(map(len, rings))
        if rings:
            regions.append(Region(_name(feature.get("properties"), len(regions) + 1), rings))
        if len(regions) > MOST_REGIONS or points > _MOST_POINTS:
            raise GeoJSONError(
                f"it has more than {MOST_REGIONS:,} regions or {_MOST_POINTS:,} corners"
            )
    if not regions:
        raise GeoJSONError("it has no polygons")
    return regions


def _feature(number: int, cell: Cell) -> dict[str, Any]:
    x, y, width, height = cell.box.xywh
    corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
    colour = [int(cell.colour[i : i + 2], 16) for i in (1, 3, 5)]
    is_cell = cell.status != "out_of_scope"
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [_closed(corners)]},
        "properties": {
            "objectType": "detection",
            "name": f"Cell {number}",
            "classification": {
                "name": cell.type_name if is_cell else "Not counted",
                "color": colour,
            },
            "measurements": {"Probability": round(cell.confidence, 4)},
            "metadata": {"status": cell.status}
            | ({"poor area": cell.poor_area} if cell.poor_area else {}),
        },
    }


def _collection(features: list[dict[str, Any]]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def _closed(points: list[list[float]]) -> list[list[float]]:
    """Return a ring as GeoJSON has it: the first point comes again at the end."""
    return [*points, points[0]]


def _features(found: Any) -> Iterator[dict[str, Any]]:
    """Yield the features of a collection, of a list of features, or a single one."""
    if isinstance(found, dict) and found.get("type") == "FeatureCollection":
        found = found.get("features")
    for feature in found if isinstance(found, list) else [found]:
        if not isinstance(feature, dict):
            raise GeoJSONError("a feature is no object")
        yield feature


def _rings(geometry: Any) -> Iterator[NDArray[np.float64]]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        return
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not all(isinstance(p, list) for p in polygons):
        raise GeoJSONError("a polygon has no list of rings")
    for ring in (ring for polygon in polygons for ring in polygon):
        if not isinstance(ring, list) or len(ring) < 3 or not all(map(_is_point, ring)):
            raise GeoJSONError("a ring needs three points or more, each of two numbers")
        points = np.array([point[:2] for point in ring], np.float64)
        yield points[:-1] if (points[0] == points[-1]).all() else points


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) >= 2
        and all(
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and abs(value) < 1e9
            and isfinite(value)
            for value in point[:2]
        )
    )


def _name(properties: Any, number: int) -> str:
    """Return the name of a feature, else its class, else its number."""
    known = properties if isinstance(properties, dict) else {}
    kind = known.get("classification")
    names = (known.get("name"), kind.get("name") if isinstance(kind, dict) else None)
    return next((n[:_NAME_LENGTH] for n in names if isinstance(n, str) and n), f"Region {number}")
