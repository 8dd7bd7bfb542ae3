"""Synthetic fields to count: chosen cells, stain and focus, and the exact truth.

The cells are those of the portraits (`core.synthetic.portraits`), blasts and stages included, laid
among red cells and platelets. They are drawings: nothing is trained or measured on them.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.domain.boxes import Box
from core.domain.results import Pixels
from core.domain.taxonomy import SUBTYPES, CellKind
from core.synthetic.fields import SyntheticCell, SyntheticField
from core.synthetic.painter import GLASS, Map, Painter, Point
from core.synthetic.portraits import paint_alone
from core.synthetic.red_cells import NORMAL_DIAMETER, normal, platelet

FIELD_TYPES: tuple[str, ...] = (
    "segmented",
    "band",
    "lymphocyte",
    "variant_lymphocyte",
    "plasma_cell",
    "monocyte",
    "promonocyte",
    "eosinophil",
    "basophil",
    "metamyelocyte",
    "myelocyte",
    "promyelocyte",
    "blast",
    "erythroblast",
    "smudge_cell",
)
"""What a field may hold beside red cells and platelets."""
MOST_CELLS = 60
"""White cells of one field; more would not fit side by side."""
Stain = Literal["standard", "pale", "deep", "blue", "pink"]
STAINS: dict[Stain, tuple[float, float, float]] = {
    "standard": (1.0, 1.0, 1.0),
    "pale": (0.68, 0.7, 0.68),
    "deep": (1.3, 1.25, 1.2),
    "blue": (1.2, 0.98, 0.72),
    "pink": (0.74, 1.08, 1.1),
}
"""How much of the standard stain's density in R, G and B each has."""
DIFFERENTIALS: dict[str, dict[str, float]] = {
    "Normal": {
        "segmented": 58,
        "band": 4,
        "lymphocyte": 28,
        "monocyte": 6,
        "eosinophil": 3,
        "basophil": 1,
    },
    "Left shift": {
        "segmented": 52,
        "band": 18,
        "metamyelocyte": 7,
        "myelocyte": 4,
        "promyelocyte": 1,
        "lymphocyte": 12,
        "monocyte": 5,
        "eosinophil": 1,
    },
    "Viral infection": {
        "segmented": 30,
        "band": 2,
        "lymphocyte": 38,
        "variant_lymphocyte": 20,
        "monocyte": 8,
        "eosinophil": 1,
        "smudge_cell": 1,
    },
    "Eosinophilia": {
        "segmented": 40,
        "lymphocyte": 26,
        "monocyte": 6,
        "eosinophil": 27,
        "basophil": 1,
    },
    "Acute leukaemia": {
        "blast": 62,
        "segmented": 10,
        "lymphocyte": 20,
        "monocyte": 2,
        "erythroblast": 3,
        "smudge_cell": 3,
    },
    "Leukoerythroblastic": {
        "segmented": 46,
        "band": 12,
        "metamyelocyte": 8,
        "myelocyte": 6,
        "promyelocyte": 2,
        "blast": 2,
        "lymphocyte": 12,
        "monocyte": 4,
        "erythroblast": 8,
    },
}
"""Invented, but plausible: percent of the drawn white cells."""
_EDGE = 0.06
"""Optical density from which on a pixel belongs to a cell."""
_GAP = 1.0
"""Least distance of a white cell from any other cell, in µm."""


class FieldRecipe(BaseModel):
    """What a field is made of; everything follows from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, le=2**32 - 1)
    counts: dict[str, int] = Field(min_length=1)
    """White cells by type or subtype, of `FIELD_TYPES`."""
    stain: Stain = "standard"
    blur: float = Field(0.0, ge=0, le=2)
    """Standard deviation of the defocus in µm; 0 is sharp."""
    width: int = Field(1280, ge=320, le=2400)
    height: int = Field(960, ge=320, le=2400)
    pixels_per_micrometre: float = Field(8.0, ge=4, le=16)
    red_cells: float = Field(0.3, ge=0, le=0.45)
    """Share of the area that they cover, where room is left."""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if unknown := self.counts.keys() - set(FIELD_TYPES):
            raise ValueError(f"there is no drawing of {', '.join(sorted(unknown))}")
        if min(self.counts.values()) < 0 or not 0 < self.total <= MOST_CELLS:
            raise ValueError(f"a field has 1 to {MOST_CELLS} white cells")
        area = self.width * self.height / self.pixels_per_micrometre**2
        if 400 * self.total > area:
            raise ValueError("the field is too small for so many white cells")
        return self

    @property
    def total(self) -> int:
        """How many white cells there are."""
        return sum(self.counts.values())


def counts_of(percentages: Mapping[str, float], total: int) -> dict[str, int]:
    """Return whole numbers of cells, `total` in all, as near to a differential as can be.

    The largest remainders are rounded up. `percentages` are relative to their sum.
    """
    whole = sum(percentages.values())
    exact = {key: total * share / whole for key, share in percentages.items()}
    counts = {key: int(cells) for key, cells in exact.items()}
    by_remainder = sorted(exact, key=lambda key: counts[key] - exact[key])
    for key in by_remainder[: total - sum(counts.values())]:
        counts[key] += 1
    return {key: cells for key, cells in counts.items() if cells}


def type_of(key: str) -> tuple[str, str | None]:
    """Return type and subtype of one of `FIELD_TYPES`."""
    return (SUBTYPES[key].type, key) if key in SUBTYPES else (key, None)


def make_smear(recipe: FieldRecipe) -> SyntheticField:
    """Make a field. No white cell touches another cell or the edge.

    Raises ValueError when the white cells find no room side by side.
    """
    smear = _Smear(recipe)
    keys = list(chain.from_iterable([key] * n for key, n in recipe.counts.items()))
    for place in smear.rng.permutation(len(keys)):
        key = keys[place]
        smear.put_white_cell(key, paint_alone(key, smear.rng, recipe.pixels_per_micrometre))
    smear.put_red_cells()
    smear.put_platelets()
    return SyntheticField(smear.expose(), tuple(smear.cells), 1 / recipe.pixels_per_micrometre)


class _Smear:
    """Optical density of a field, H x W x 3, and the discs that are occupied, in µm."""

    def __init__(self, recipe: FieldRecipe) -> None:
        self.recipe = recipe
        self.rng = np.random.default_rng(recipe.seed)
        self.scale = recipe.pixels_per_micrometre
        self.size = recipe.width / self.scale, recipe.height / self.scale
        self.density = np.zeros((recipe.height, recipe.width, 3), np.float32)
        self.white = np.zeros((0, 3))  # x, y, radius
        self.others = np.zeros((0, 3))
        self.cells: list[SyntheticCell] = []

    def put_white_cell(self, key: str, density: Map) -> None:
        """Lay a cell where it is clear of the others."""
        stained = density.max(axis=2) > _EDGE
        rows, columns = np.flatnonzero(stained.any(axis=1)), np.flatnonzero(stained.any(axis=0))
        cut = density[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        radius = 0.5 * max(cut.shape[:2]) / self.scale
        inside = radius + 0.5
        for _ in range(4000):
            x, y = (self.rng.uniform(inside, length - inside) for length in self.size)
            if _clearance(self.white, x, y) > radius + _GAP:
                break
        else:
            raise ValueError("the field is too small for so many white cells")
        self.white = np.vstack([self.white, [x, y, radius]])
        self._lay(cut, (x, y), "wbc", key)

    def put_red_cells(self) -> None:
        """Lay red cells beside the white ones; two may overlap a little."""
        area = np.pi * (NORMAL_DIAMETER / 2) ** 2
        wanted = int(self.recipe.red_cells * self.size[0] * self.size[1] / area)
        for _ in range(12 * wanted):
            if len(self.others) == wanted:
                return
            x, y = (self.rng.uniform(-2, length + 2) for length in self.size)
            diameter = float(self.rng.normal(7.4, 0.35))
            radius = diameter / 2
            if (
                _clearance(self.white, x, y) < radius + 0.3
                or _clearance(self.others, x, y) < 0.75 * radius
            ):
                continue
            painter = Painter(self.rng, 10, round(10 * self.scale))
            normal(painter, diameter=diameter)
            self.others = np.vstack([self.others, [x, y, radius]])
            self._lay(painter.density, (x, y), "rbc")

    def put_platelets(self) -> None:
        """Lay platelets, about one to fifteen red cells, clear of all other cells."""
        wanted = int(self.rng.poisson(2 + len(self.others) / 15))
        for _ in range(20 * wanted):
            if not wanted:
                return
            x, y = (self.rng.uniform(1.5, length - 1.5) for length in self.size)
            if min(_clearance(self.white, x, y), _clearance(self.others, x, y)) < 1.8:
                continue
            wanted -= 1
            painter = Painter(self.rng, 6, round(6 * self.scale))
            platelet(painter, diameter=float(self.rng.uniform(2, 3)))
            self.others = np.vstack([self.others, [x, y, 1.5]])
            self._lay(painter.density, (x, y), "platelet")

    def _lay(
        self,
        density: Map,
        place: Point,
        kind: CellKind,
        key: str | None = None,
    ) -> None:
        """Add a cell with its middle at a place; what lies outside the field is cut off."""
        x, y = place
        height, width = density.shape[:2]
        left, top = round(x * self.scale - width / 2), round(y * self.scale - height / 2)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + width, self.recipe.width), min(top + height, self.recipe.height)
        if x1 <= x0 or y1 <= y0:
            return
        part = density[y0 - top : y1 - top, x0 - left : x1 - left]
        self.density[y0:y1, x0:x1] += part
        stained = part.max(axis=2) > _EDGE
        if not stained.any():
            return
        rows, columns = np.flatnonzero(stained.any(axis=1)), np.flatnonzero(stained.any(axis=0))
        box = Box(
            float(x0 + columns[0]),
            float(y0 + rows[0]),
            float(columns[-1] - columns[0] + 1),
            float(rows[-1] - rows[0] + 1),
        )
        type_, subtype = type_of(key) if key else (None, None)
        self.cells.append(SyntheticCell(kind, box, type_, subtype))

    def expose(self) -> Pixels:
        """Photograph the field: stain, focus, shading towards the corners, noise of the camera."""
        recipe, rng = self.recipe, self.rng
        density = np.minimum(self.density, 1.6) * np.asarray(STAINS[recipe.stain], np.float32)
        light = np.power(10.0, -density).astype(np.float32)
        sigma = float(np.hypot(0.07, recipe.blur)) * self.scale
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32)
        far = (np.linspace(-1, 1, recipe.width) ** 2)[None, :] + (
            np.linspace(-1, 1, recipe.height) ** 2
        )[:, None]
        light *= (1 - 0.03 * far[..., None]).astype(np.float32) * np.asarray(GLASS, np.float32)
        light += rng.normal(0, 1.4, (*light.shape[:2], 1)).astype(np.float32)
        return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)


def _clearance(discs: NDArray[np.float64], x: float, y: float) -> float:
    """Return the distance of a place from the nearest disc."""
    gaps = np.hypot(discs[:, 0] - x, discs[:, 1] - y) - discs[:, 2]
    return float(gaps.min(initial=np.inf))
