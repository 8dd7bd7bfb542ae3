"""Fields that show the same cells: copies of one image, photographs of one region, overlaps.

A field is reduced to a fingerprint: its cells and a small grey image, both in units of its red
cells, so that magnification does not matter. Two fields are registered at a white cell that both
may show: the image around it, as rings over the angle, gives the rotation by cross-correlation, the
diameter gives the zoom; the centres of the cells around (RANSAC) and the pixels (ECC) refine it.
The two small images must then agree where they overlap, and so must their details, whatever the
light. Copies without white cells are found by their perceptual hash.

Measured on 39,060 pairs of 280 fields (BCCD, TXL-PBC train, Kaggle TEST_SIMPLE), which hold 43 true
copies and overlaps: these and no other pair were found (agreement .85 to 1, 7 or more cells met;
of different fields .83 at most, 4 cells met at most). Of 75 fields changed on purpose JPEG of
quality 40, half size, 90° turns, another stain, less light with blur were all found; turned by 17°
and cut 92 %; cut to 64 % of the area 91 %; windows that share more than half of their area 99 %,
less than half 43 %. Mirrored fields are not found. Details were compared later: of 840 pairs of
different images of six sources (plain, under uneven light, in a round view, with a label) none was
taken for the same region; without it 22 of 28 pairs of BCCD were in a round view.
"""

import base64
import hashlib
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import cdist

from core.domain.boxes import Box, image_box
from core.domain.results import Cell, FieldAnalysis, Fingerprint, Pixels, quoted

PIXELS_A_RED_CELL = 12
"""Diameter of a red cell in the small image."""
LEAST_AGREEMENT = 0.8
"""Correlation of two small images beside their white cells, above which they show the same region
when `CELLS_THAT_SETTLE` meet; else `LEAST_ALONE`."""
LEAST_ALONE = 0.9
LEAST_DETAIL = 0.8
"""Correlation of the details of one region, whatever the light. Lamps, borders and labels that all
fields of a microscope share bring different fields to .6 at most; copies have .93 and more."""
CELLS_THAT_SETTLE = 6
MOST_COMPARED = 300
"""How many fields before it a field is compared with."""
_LEAST_SHARED_RINGS = 0.25
"""Share of the rings that lies inside both fields."""
_LEAST_RING_AGREEMENT = 0.3
_FARTHEST_HASH = 10
"""Bits of 64 in which the perceptual hashes of copies differ at most."""
_ANGLES = 64
_RINGS = np.linspace(0.25, 1.25, 12)
"""Radii in diameters of the white cell."""
_SAME_CENTRE = 0.5
"""Distance in red cells at which two centres are those of one cell."""
_LEAST_OVERLAP = 4.0
"""Red cells squared."""
_LEAST_BESIDE = 2.0
"""Red cells squared."""
_LEAST_OF_WINDOW = 0.33
_LEAST_STRUCTURE = 0.02
"""Standard deviation of the absorbance (natural logarithm) in a window that shows something."""
_BLACK = 0.3
"""Share of the light of glass below which a pixel is no part of a smear, or a dark nucleus."""
_WORTH_REFINING = 0.35
"""Correlation of the small images before their pixels are brought together."""
_MOST_ZOOM = 1.5
_EVEN = 1.0
"""Grey levels: a standard deviation that is nothing but noise."""
_MOST_TRIES = 5
_LEAST_RED_CELLS = 3
"""Red cells that give the scale; with fewer, all cells do."""
_SIDE_WITHOUT_CELLS = 10
"""Red cells along the longer side of a field without any cell."""
_LONGEST_SIDE = 1024
"""Pixels of the small image."""

Transform = NDArray[np.float64]
"""2 x 3: from red cells of one field to those of another."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Cells of a field that earlier fields show."""

    cells: frozenset[int] = frozenset()
    """Indices in the cells of the analysis."""
    sentences: tuple[str, ...] = ()


_SAID_BY_FINDER = re.compile(
    r"This image (is the same as “|shows \d+ white and \d+ other cells that )"
)
"""How the sentences of `Finder` begin."""

Known = dict[tuple[str, str], "Transform | None"]
"""Transforms between pairs of fields, by the hashes of their pixels; None for no overlap."""


class Finder:
    """Compares fields with those before them, in their order."""

    def __init__(self, *, keep: bool = False, known: Known | None = None) -> None:
        """Start without any field.

        With `keep` duplicates are reported but counted. Pairs in `known` are not computed again.
        """
        self._keep = keep
        self._known: Known = {} if known is None else known
        self._first: dict[str, str] = {}
        """Title of the first field with certain pixels."""
        self._before: deque[tuple[str, str, Fingerprint]] = deque(maxlen=MOST_COMPARED)

    def add(self, title: str, field: Fingerprint, patient: str = "") -> Repeats:
        """Return the cells of a field that earlier ones show; later ones are compared with it.

        Cells that a field of another patient shows are not counted there.
        """
        same = f"are counted {'here too, as asked' if self._keep else 'there'}."
        cells: set[int] = set()
        sentences = []
        if (first := self._first.get(field.pixels_sha256)) is not None:
            sentences.append(f"This image is the same as {quoted(first)}. Its cells {same}")
            cells.update(field.numbers)
        else:
            for earlier_title, whose, earlier in self._before:
                met = self._met(field, earlier)
                if met is None:
                    continue
                white = sum(field.kinds[a] == "wbc" for a in met)
                shown = f"This image shows {white} white and {len(met) - white} other cells that "
                if whose == patient:
                    cells.update(field.numbers[a] for a in met)
                    sentences.append(f"{shown}{quoted(earlier_title)} shows too. They {same}")
                else:
                    sentences.append(
                        f"{shown}an image of another patient shows too "
                        f"({quoted(earlier_title)}). Check whose they are."
                    )
            self._first[field.pixels_sha256] = title
            self._before.append((title, patient, field))
        return Repeats(frozenset() if self._keep else frozenset(cells), tuple(sentences))

    def _met(self, field: Fingerprint, earlier: Fingerprint) -> list[int] | None:
        """Return the cells of a field that an earlier one shows; None when they do not overlap."""
        pair = field.pixels_sha256, earlier.pixels_sha256
        if pair not in self._known:
            self._known[pair] = register(field, earlier)
        transform = self._known[pair]
        if transform is None:
            return None
        return [a for a, _ in meeting(transform, field, earlier, same_kind=True)]


def count_once(analyses: Iterable[FieldAnalysis], finder: Finder) -> tuple[FieldAnalysis, ...]:
    """Return fields with the cells marked that an earlier one shows too, and with a warning."""
    return tuple(marked(analysis, finder) for analysis in analyses)


def marked(analysis: FieldAnalysis, finder: Finder, patient: str = "") -> FieldAnalysis:
    """Return a field as `count_once` does; a cell that somebody reviewed stays counted."""
    if analysis.fingerprint is None:
        return analysis
    found = finder.add(analysis.title, analysis.fingerprint, patient)
    cells = tuple(
        replace(cell, duplicate=True) if i in found.cells and cell.reviewer is None else cell
        for i, cell in enumerate(analysis.cells)
    )
    return replace(analysis, cells=cells, warnings=(*analysis.warnings, *found.sentences))


def unmarked(analysis: FieldAnalysis) -> FieldAnalysis:
    """Return a field as it was before `marked`."""
    warnings = tuple(w for w in analysis.warnings if not _SAID_BY_FINDER.match(w))
    return replace(analysis.alone, warnings=warnings)


def pixels_sha256(pixels: Pixels) -> str:
    """Return a hash of RGB pixels (H x W x 3), the same whatever file they came in."""
    shape = np.array(pixels.shape, np.int64).tobytes()
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def fingerprint(pixels: Pixels, cells: Sequence[Cell]) -> Fingerprint:
    """Return the fingerprint of a field. `pixels` are H x W x 3, RGB."""
    height, width = pixels.shape[:2]
    shown = [(i, cell) for i, cell in enumerate(cells) if cell.status != "out_of_scope"]
    red = [
        cell.box.diameter
        for _, cell in shown
        if cell.kind == "rbc" and _is_whole(cell.box, width, height)
    ]
    sides = red if len(red) >= _LEAST_RED_CELLS else [cell.box.diameter for _, cell in shown]
    unit = float(np.median(sides)) if sides else max(height, width) / _SIDE_WITHOUT_CELLS
    factor = min(PIXELS_A_RED_CELL / unit, _LONGEST_SIDE / max(height, width))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    phash = int(str(imagehash.phash(Image.fromarray(grey))), 16)
    return _of_small(np.asarray(small, np.uint8), width, cells, pixels_sha256(pixels), phash)


def stored_form(field: Fingerprint) -> dict[str, str]:
    """Return what does not follow from the cells, as JSON: pixels, hash, and the image as PNG."""
    _, png = cv2.imencode(".png", field.small)
    small = base64.b64encode(png.tobytes()).decode()
    return {"pixels": field.pixels_sha256, "hash": f"{field.hash:016x}", "small": small}


def from_stored(stored: Mapping[str, str], cells: Sequence[Cell], width: int) -> Fingerprint:
    """Return the fingerprint of a field of some width in pixels from its `stored_form`."""
    png = np.frombuffer(base64.b64decode(stored["small"]), np.uint8)
    small = np.asarray(cv2.imdecode(png, cv2.IMREAD_GRAYSCALE), np.uint8)
    return _of_small(small, width, cells, stored["pixels"], int(stored["hash"], 16))


def _of_small(
    small: Pixels, width: int, cells: Sequence[Cell], pixels: str, phash: int
) -> Fingerprint:
    """Return the fingerprint of a field of some width in pixels with this small image."""
    unit = PIXELS_A_RED_CELL * width / small.shape[1]
    shown = [(i, cell) for i, cell in enumerate(cells) if cell.status != "out_of_scope"]
    centres = np.array([cell.box.centre for _, cell in shown], np.float64).reshape(-1, 2) / unit
    diameters = np.array([cell.box.diameter for _, cell in shown], np.float64) / unit
    kinds = tuple(cell.kind for _, cell in shown)
    white = [i for i, kind in enumerate(kinds) if kind == "wbc"]
    return Fingerprint(
        pixels_sha256=pixels,
        hash=phash,
        small=small,
        centres=centres,
        diameters=diameters,
        kinds=kinds,
        numbers=tuple(i for i, _ in shown),
        rings=_rings(small, centres[white], diameters[white]),
    )


def _is_whole(box: Box, width: int, height: int) -> bool:
    """Return whether a box keeps clear of the image's border."""
    return box.margin_within(image_box(width, height)) > 0.02 * min(width, height)


def _rings(
    small: Pixels, centres: NDArray[np.float64], diameters: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """Return the image around points, on rings over the angle, as Fourier series of unit energy."""
    if not len(centres):
        return np.zeros((3, 0, len(_RINGS), _ANGLES // 2 + 1), np.complex64)
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    offsets = diameters[:, None, None, None] * _RINGS[:, None, None] * circle
    points = (centres[:, None, None] + offsets) * PIXELS_A_RED_CELL - 0.5
    height, width = small.shape
    inside = ((points >= 0) & (points <= (width - 1, height - 1))).all(-1)
    rows = points.reshape(len(centres) * len(_RINGS), _ANGLES, 2).astype(np.float32)
    across, down = np.ascontiguousarray(rows[..., 0]), np.ascontiguousarray(rows[..., 1])
    values = np.asarray(cv2.remap(small.astype(np.float32), across, down, cv2.INTER_LINEAR))
    values = values.reshape(inside.shape)
    # What all angles share, every white cell has.
    mean = (values * inside).sum(-1, keepdims=True) / np.maximum(inside.sum(-1, keepdims=True), 1)
    values = np.where(inside, values - mean, 0)
    weights = _RINGS[:, None]
    series = np.fft.rfft([np.sqrt(weights) * values, weights * values**2, inside])
    return series.astype(np.complex64)


def _turns(later: Fingerprint, earlier: Fingerprint) -> NDArray[np.float64]:
    """Return the correlation around white cells: of one field x of the other x angle."""

    def over_angles(mine: int, other: int) -> NDArray[np.float64]:
        products = np.einsum("arf,brf->abf", later.rings[mine].conj(), earlier.rings[other])
        return np.fft.irfft(products, _ANGLES)

    values, squares, inside = 0, 1, 2
    energy = over_angles(squares, inside) * over_angles(inside, squares)
    shared = over_angles(inside, inside) / (len(_RINGS) * _ANGLES)
    alike = over_angles(values, values) / np.sqrt(np.maximum(energy, 1.0))
    return np.where(shared >= _LEAST_SHARED_RINGS, alike, 0.0)


def register(later: Fingerprint, earlier: Fingerprint) -> Transform | None:
    """Return how a field lies on an earlier one; None when they do not overlap."""

    def scored(transform: Transform) -> tuple[float, Transform]:
        return min(_agreement(transform, later, earlier)), transform

    tries: list[tuple[float, Transform]] = []
    if (later.hash ^ earlier.hash).bit_count() <= _FARTHEST_HASH:
        down, right = (e / a for e, a in zip(earlier.small.shape, later.small.shape, strict=True))
        tries.append(scored(np.array([[right, 0.0, 0.0], [0.0, down, 0.0]])))
    if later.white and earlier.white:
        alike = _turns(later, earlier)
        peaks = alike.max(-1)
        order = np.argsort(-peaks, axis=None)[:_MOST_TRIES]
        for a, b in zip(*np.unravel_index(order, peaks.shape), strict=True):
            if peaks[a, b] < _LEAST_RING_AGREEMENT:
                break
            angle = float(alike[a, b].argmax() * 2 * np.pi / _ANGLES)
            turned = _turned(angle, later, later.white[a], earlier, earlier.white[b])
            fitted = _with_centres(turned, later, earlier)
            tries.append(max(scored(turned), scored(fitted), key=itemgetter(0)))
    best, least = None, LEAST_DETAIL
    for start in tries:
        if start[0] < _WORTH_REFINING:
            continue
        refined = scored(_with_pixels(start[1], later, earlier))
        agreement, transform = max(start, refined, key=itemgetter(0))
        settled = len(meeting(transform, later, earlier)) >= CELLS_THAT_SETTLE
        if agreement < (LEAST_AGREEMENT if settled else LEAST_ALONE):
            continue
        if (detail := _detail(transform, later, earlier)) >= least:
            best, least = transform, detail
    return best


def _turned(
    angle: float, later: Fingerprint, cell: int, earlier: Fingerprint, to: int
) -> Transform:
    """Return the similarity that takes a white cell to another, turned by an angle."""
    zoom = earlier.diameters[to] / later.diameters[cell]
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, earlier.centres[to] - turn @ later.centres[cell]])


def _moved(transform: Transform, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ transform[:, :2].T + transform[:, 2]


def meeting(
    transform: Transform, later: Fingerprint, earlier: Fingerprint, *, same_kind: bool = False
) -> list[tuple[int, int]]:
    """Return the cells of both fields whose centres meet, each once, the nearest first."""
    if not len(later.centres) or not len(earlier.centres):
        return []
    moved = _moved(transform, later.centres)
    apart = cdist(moved, earlier.centres)
    if same_kind:
        apart[np.array(later.kinds)[:, None] != np.array(earlier.kinds)] = np.inf
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    near = np.flatnonzero(apart <= _SAME_CENTRE)
    for pair in near[np.argsort(apart.flat[near])]:
        a, b = (int(i) for i in np.unravel_index(pair, apart.shape))
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            pairs.append((a, b))
    return pairs


def _with_centres(transform: Transform, later: Fingerprint, earlier: Fingerprint) -> Transform:
    """Return the similarity that brings the centres of cells together, when enough meet."""
    for _ in range(2):
        pairs = meeting(transform, later, earlier)
        if len(pairs) < 3:
            break
        source, target = (np.array(side) for side in zip(*pairs, strict=True))
        fitted, _ = cv2.estimateAffinePartial2D(
            later.centres[source], earlier.centres[target], ransacReprojThreshold=0.25
        )
        if fitted is None or not 1 / _MOST_ZOOM <= np.hypot(*fitted[:, 0]) <= _MOST_ZOOM:
            break
        transform = fitted
    return transform


def _with_pixels(transform: Transform, later: Fingerprint, earlier: Fingerprint) -> Transform:
    """Return the affine transform under which the small images correlate best (ECC).

    Evangelidis and Psarakis 2008, IEEE TPAMI 30:1858. Where it leads away, the one given.
    """
    inverse = cv2.invertAffineTransform(_in_pixels(transform)).astype(np.float32)
    whole = np.full_like(later.small, 255)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-4)
    try:
        _, found = cv2.findTransformECC(
            earlier.small, later.small, inverse, cv2.MOTION_AFFINE, stop, whole, 3
        )
    except cv2.error:  # it does not converge
        return transform
    matrix = cv2.invertAffineTransform(found).astype(np.float64)
    sizes = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if not (sizes.min() >= 1 / _MOST_ZOOM and sizes.max() <= _MOST_ZOOM):
        return transform
    shift = (matrix[:, 2] - matrix[:, :2] @ (0.5, 0.5) + 0.5) / PIXELS_A_RED_CELL
    return np.column_stack([matrix[:, :2], shift])


def _in_pixels(transform: Transform) -> Transform:
    """Return a transform between small images; the centre of their first pixel is (0, 0)."""
    shift = PIXELS_A_RED_CELL * transform[:, 2] + transform[:, :2] @ (0.5, 0.5) - 0.5
    return np.column_stack([transform[:, :2], shift])


def _agreement(
    transform: Transform, later: Fingerprint, earlier: Fingerprint
) -> tuple[float, float]:
    """Return the correlation of both small images where they overlap, and that beside white cells.

    Any two white cells are dark discs on a pale ground. 0 where too little is seen of both.
    """
    area = PIXELS_A_RED_CELL**2
    height, width = earlier.small.shape
    matrix = _in_pixels(transform)
    whole = np.full_like(later.small, 255)
    shown = cv2.warpAffine(whole, matrix, (width, height)) == 255  # blended with nothing outside
    moved = cv2.warpAffine(later.small.astype(np.float32), matrix, (width, height))
    beside = shown & _beside_white(transform, later, earlier)
    if shown.sum() < _LEAST_OVERLAP * area or beside.sum() < _LEAST_BESIDE * area:
        return 0.0, 0.0
    return _correlation(moved[shown], earlier.small[shown]), _correlation(
        moved[beside], earlier.small[beside]
    )


def _beside_white(
    transform: Transform, later: Fingerprint, earlier: Fingerprint
) -> NDArray[np.bool_]:
    """Return where the earlier small image is away from the white cells of both fields."""
    beside = np.ones_like(earlier.small)
    white = (earlier.centres[earlier.white], _moved(transform, later.centres[later.white]))
    for x, y in np.concatenate(white) * PIXELS_A_RED_CELL:
        cv2.circle(beside, (round(x), round(y)), PIXELS_A_RED_CELL, 0, -1)
    return beside > 0


def _detail(transform: Transform, later: Fingerprint, earlier: Fingerprint) -> float:
    """Return the median correlation of both images in windows of two red cells; 0 without any.

    Uneven light is taken off, and what is black in either image left out: a lamp, the round border
    of an eyepiece or a label are alike in all fields of a microscope. So are windows without
    structure, and white cells.
    """
    height, width = earlier.small.shape
    matrix = _in_pixels(transform)
    moved = cv2.warpAffine(_even(later.small), matrix, (width, height))
    lit = cv2.warpAffine(_lit(later.small), matrix, (width, height)) == 255
    part = (lit & (_lit(earlier.small) == 255) & _beside_white(transform, later, earlier)).astype(
        np.float32
    )
    side = 2 * PIXELS_A_RED_CELL

    def sums(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(
            cv2.boxFilter(values, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        )

    number = sums(part)
    first, second = _even(earlier.small), np.asarray(moved)
    size = np.maximum(number, 1)
    mean, other_mean = sums(first * part) / size, sums(second * part) / size
    spread = sums(first**2 * part) / size - mean**2
    other_spread = sums(second**2 * part) / size - other_mean**2
    shared = sums(first * second * part) / size - mean * other_mean
    structured = np.maximum(spread, other_spread) > _LEAST_STRUCTURE**2
    judged = (part > 0) & (number >= _LEAST_OF_WINDOW * side**2) & structured
    if judged.sum() < _LEAST_BESIDE * PIXELS_A_RED_CELL**2:
        return 0.0
    floor = _LEAST_STRUCTURE**2
    alike = shared / np.sqrt(np.maximum(spread, floor) * np.maximum(other_spread, floor))
    return float(np.median(alike[judged]))


def _even(small: Pixels) -> NDArray[np.float32]:
    """Return absorbance without what changes slowly."""
    absorbed = np.log(small.astype(np.float32) + 1)
    return absorbed - np.asarray(cv2.GaussianBlur(absorbed, (0, 0), PIXELS_A_RED_CELL / 2))


def _lit(small: Pixels) -> Pixels:
    """Return 255 where an image and its surroundings are not black, else 0."""
    lit = (small > _BLACK * np.percentile(small, 90)).astype(np.uint8) * 255
    near = np.ones((PIXELS_A_RED_CELL + 1,) * 2, np.uint8)
    return np.asarray(cv2.erode(lit, near), np.uint8)


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Pearson's coefficient; 0 where one of both is even."""
    if min(first.std(), second.std()) < _EVEN:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
