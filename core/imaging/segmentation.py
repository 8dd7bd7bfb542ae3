"""Nucleus and cytoplasm of one white cell, by colour thresholds, and their measures.

Two independent methods, so that a user sees how far a measure depends on the method: colour
deconvolution into azure and eosin (Ruifrok and Johnston 2001, Anal Quant Cytol Histol 23:291), and
thresholds in HSV. Both look at a light-corrected image inside the cell's box.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.boxes import Box
from core.domain.results import FieldAnalysis, Pixels
from core.imaging.crop import crop_square
from core.imaging.illumination import GLASS
from core.imaging.scale import is_whole

SegmentationMethod = Literal["deconvolution", "hsv"]
METHODS: dict[SegmentationMethod, str] = {
    "deconvolution": "Colour deconvolution",
    "hsv": "HSV thresholds",
}
"""Names of the methods for users."""

Mask = NDArray[np.bool_]

_SIDE = 160
"""Side in pixels of the square that a cell is segmented in."""
_MARGIN = 1.5
"""Side of the square as a multiple of the longer side of the box."""
_STAINS = np.array([[0.834750233, 0.513556283, 0.196330403], [0.092789, 0.954111, 0.283111]])
"""Optical densities of methylene blue (azure) and eosin in red, green and blue, the vectors for
Giemsa of Landini's plug-in for ImageJ. The third row that completes them is what neither explains.
"""
_NUCLEUS_SHARE: dict[SegmentationMethod, float] = {"deconvolution": 0.60, "hsv": 0.55}
"""Most of the strong stain (its 90th percentile) that a nucleus may need: in a cell that is nearly
all nucleus, thresholds of the histogram would split the chromatin."""
_LEAST_CONTENT: dict[SegmentationMethod, float] = {"deconvolution": 0.20, "hsv": 0.07}
"""Least optical density above glass, or saturation, of the cell's body."""
_VIOLET = (105, 168)
"""Hues of nuclei, in OpenCV's half degrees."""
_LEAST_LOBE = 80
"""Least pixels of a lobe in the square of 160 px."""
_LOBE_REACH, _BOX_REACH, _CORE_REACH, _OUTSIDE = 0.75, 1.05, 0.55, 1.12
"""In units of the ellipse that the box holds: how far in a lobe must reach, how far out a nucleus
may lie, what surely is the cell, and what surely is not."""


@dataclass(frozen=True, slots=True, eq=False)
class CellSegmentation:
    """Where nucleus and cell lie, in a square around the cell."""

    nucleus: Mask
    """160 x 160; all lobes together."""
    cell: Mask
    """160 x 160; nucleus and cytoplasm."""
    x: float
    y: float
    """Top left corner of the square in pixels of the image."""
    pixels_per_cell_pixel: float
    """Image pixels per pixel of the masks."""

    @property
    def side(self) -> float:
        """Side of the square in pixels of the image."""
        return self.pixels_per_cell_pixel * _SIDE

    def outlines(self, mask: Mask) -> list[NDArray[np.float64]]:
        """Return the outer contours of a mask as n x 2 (x, y) in pixels of the image."""
        found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        corner = np.array([self.x, self.y])
        return [
            (line[:, 0].astype(np.float64) + 0.5) * self.pixels_per_cell_pixel + corner
            for line in found
        ]


@dataclass(frozen=True, slots=True)
class CellMeasures:
    """What the segmentation of a cell measures."""

    nucleus_area: float
    """µm², or pixels² of the image without a scale."""
    cell_area: float
    """Unit as `nucleus_area`."""
    nucleus_cytoplasm_ratio: float
    """Nuclear area over the area of the cytoplasm; infinite when no cytoplasm is seen."""
    nucleus_roundness: float
    """4 pi area / perimeter² of all lobes together: 1 for a circle, less for lobes."""
    lobes: int
    """Separate pieces of the nucleus; strands thinner than a fiftieth of the cell are not seen."""


def segment_cell(
    pixels: Pixels, box: Box, method: SegmentationMethod = "deconvolution"
) -> CellSegmentation | None:
    """Return nucleus and cell inside a box of a light-corrected H x W x 3 image.

    None when nothing in the box is stained as a nucleus is. Raises ValueError for a box wholly
    outside the image.
    """
    from scipy.ndimage import binary_fill_holes
    from skimage.filters import sobel, threshold_multiotsu
    from skimage.segmentation import watershed

    side = _MARGIN * max(box.width, box.height)
    square = np.asarray(
        cv2.bilateralFilter(crop_square(pixels, box, side, _SIDE), 5, 25, 4), np.uint8
    )
    reach = _reach(box, side)
    density = -np.log((square.astype(np.float32) + 1) / 256)
    stain, content = _stains(square, density, method)
    inside = stain[reach < _OUTSIDE]
    if np.ptp(inside) == 0:
        return None
    strong = float(np.percentile(stain[reach < 1], 90))
    threshold = min(threshold_multiotsu(inside, 3)[1], _NUCLEUS_SHARE[method] * strong)
    nucleus = _lobes((stain > threshold) & (reach < _BOX_REACH), reach)
    if not nucleus.any():
        return None
    content_shown = _opened((content > _LEAST_CONTENT[method]) | nucleus, 5)
    body = np.asarray(binary_fill_holes(content_shown)) | nucleus
    markers = np.zeros(body.shape, np.int32)
    markers[(reach > _OUTSIDE) & ~nucleus] = 2
    markers[(reach < _CORE_REACH) | nucleus] = 1
    edges = sobel(cv2.GaussianBlur(density.sum(2), (0, 0), 1))
    cell = _opened(watershed(edges, markers, mask=body) == 1, 9) | nucleus
    cut = max(2, round(side))
    x, y = (round(middle - cut / 2) for middle in box.centre)
    return CellSegmentation(nucleus, cell, x, y, cut / _SIDE)


def segment_field(
    pixels: Pixels, analysis: FieldAnalysis, method: SegmentationMethod
) -> dict[int, CellSegmentation]:
    """Return the segmentation of the white cells of a light-corrected image, by their number.

    Objects that are out of scope, cells that the edge of the image truncates, and cells without a
    nucleus have none.
    """
    found = {
        number: segment_cell(pixels, cell.box, method)
        for number, cell in analysis.white_cells()
        if cell.status != "out_of_scope" and is_whole(cell.box, analysis.width, analysis.height)
    }
    return {number: one for number, one in found.items() if one is not None}


def measure_cell(
    segmentation: CellSegmentation, micrometres_per_pixel: float | None = None
) -> CellMeasures:
    """Return areas, ratio and roundness; without a scale areas are in pixels of the image."""
    from skimage.measure import label, perimeter_crofton

    unit = (segmentation.pixels_per_cell_pixel * (micrometres_per_pixel or 1.0)) ** 2
    nucleus, cell = int(segmentation.nucleus.sum()), int(segmentation.cell.sum())
    cytoplasm = cell - nucleus
    # Crofton's formula counts crossings in four directions, so that stairs do not lengthen it.
    around = float(perimeter_crofton(segmentation.nucleus, directions=4))
    return CellMeasures(
        nucleus_area=nucleus * unit,
        cell_area=cell * unit,
        nucleus_cytoplasm_ratio=nucleus / cytoplasm if cytoplasm else float("inf"),
        nucleus_roundness=min(4 * np.pi * nucleus / around**2, 1.0),
        lobes=int(label(segmentation.nucleus).max()),
    )


def _reach(box: Box, side: float) -> NDArray[np.float64]:
    """Return how far out each pixel of the square lies: 1 on the ellipse that the box holds."""
    place = (np.arange(_SIDE) + 0.5) / _SIDE - 0.5
    return np.asarray(
        np.hypot(place[:, None] * 2 * side / box.height, place[None] * 2 * side / box.width)
    )


def _stains(
    square: Pixels, density: NDArray[np.float32], method: SegmentationMethod
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the nuclear stain and how much of anything lies on the glass, h x w each."""
    if method == "deconvolution":
        vectors = np.vstack([_STAINS, np.cross(*_STAINS)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        azure = np.clip(density @ np.linalg.inv(vectors)[:, 0], 0, None)
        content = density.sum(2) + 3 * np.log((GLASS + 1) / 256)
        return azure.astype(np.float64), content.astype(np.float64)
    hue, saturation, _ = cv2.split(cv2.cvtColor(square, cv2.COLOR_RGB2HSV).astype(np.float64))
    saturation /= 255
    dark = saturation * (1 - square[..., 1] / 255)
    is_violet = (hue > _VIOLET[0]) & (hue < _VIOLET[1])
    return np.where(is_violet, dark, dark / 2), saturation


def _lobes(mask: Mask, reach: NDArray[np.float64]) -> Mask:
    """Return the pieces of a mask that are large enough and reach into the cell, holes filled."""
    from skimage.morphology import remove_small_holes

    closed = cv2.morphologyEx(_opened(mask, 3).astype(np.uint8), cv2.MORPH_CLOSE, _ellipse(5))
    whole = remove_small_holes(closed > 0, max_size=60)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(whole.astype(np.uint8), connectivity=4)
    kept = [
        piece
        for piece in range(1, len(stats))
        if stats[piece, cv2.CC_STAT_AREA] >= _LEAST_LOBE
        and reach[labels == piece].min() < _LOBE_REACH
    ]
    return np.isin(labels, kept)


def _ellipse(diameter: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)), np.uint8)


def _opened(mask: Mask, diameter: int) -> Mask:
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _ellipse(diameter))
    return np.asarray(opened > 0)
