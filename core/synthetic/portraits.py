"""Large synthetic pictures of single cells, drawn to be learnt from.

They show what a textbook names: lobes, chromatin, nucleoli, granules, vacuoles, membrane. They are
drawings, never evidence: nothing is trained or measured on them. Sizes and features follow the
texts of the atlas (`assets/atlas`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from core.domain.results import Pixels
from core.synthetic.painter import Chromatin, Colour, Map, Painter, Point
from core.synthetic.red_cells import RED_CELLS, around, normal, platelet

SIDE_MICROMETRES = 24.0
_SIDES = {
    **dict.fromkeys((*RED_CELLS, "platelet", "giant_platelet"), 18.0),
    "platelet_clump": 24.0,
    "rouleaux": 30.0,
    "smudge_cell": 26.0,
    "Benign": 42.0,
    "Early": 42.0,
    "Pre": 42.0,
    "Pro": 42.0,
}

_MATURE = Chromatin((88, 46, 134), clumps=0.3, clump_size=1.1, strands=0.16)
_DENSE = Chromatin((80, 42, 128), clumps=0.26, clump_size=1.5, strands=0.1, membrane=0.15)
_LACY = Chromatin((126, 80, 164), clumps=0.2, clump_size=1.1, strands=0.16, strand_size=0.55)
_FINE = Chromatin((136, 86, 172), clumps=0.08, clump_size=0.9, strands=0.22, strand_size=0.34)
_OPENING = Chromatin((112, 66, 152), clumps=0.2, clump_size=0.9, strands=0.22, strand_size=0.45)
_PINK: Colour = (240, 214, 214)
_LILAC: Colour = (176, 118, 176)
_AZUROPHIL: Colour = (126, 36, 122)
_ORANGE: Colour = (224, 118, 84)
_BASOPHIL: Colour = (70, 26, 112)


@dataclass(frozen=True, eq=False)
class Portrait:
    """One picture and what a label may point at."""

    pixels: Pixels
    """size x size x 3 RGB."""
    side: float
    """In µm."""
    notes: dict[str, Point]
    """Places of features, in µm from the middle, x right, y down."""


def _cell_edge(p: Painter, diameter: float, *, uneven: float = 0.02, rough: float = 0.03) -> Map:
    rng = p.rng
    waves = [(2, rng.normal(0, uneven)), (3, rng.normal(0, uneven)), (5, rng.normal(0, uneven / 2))]
    return p.rough(p.disc((0, 0), diameter / 2, waves), rough)


def _direction(p: Painter, reach: float) -> Point:
    angle = p.rng.uniform(0, 2 * np.pi)
    return float(reach * np.cos(angle)), float(reach * np.sin(angle))


def _fine_granules(p: Painter, body: Map, count: int, colour: Colour = _LILAC) -> None:
    places = p.scatter(body, count, 0.2)
    p.stain(0.5 * p.spots(places, (0.05, 0.12), 0.14), colour)


def _note_in(p: Painter, label: str, allowed: Map) -> None:
    """Let a label point into a free region, away from its edge."""
    inner = cv2.distanceTransform((allowed > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    p.notes[label] = (float(p.x[0, column]), float(p.y[row, 0]))


def _segmented(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(12.5, 14.5)
    edge = _cell_edge(p, diameter)
    body = p.cytoplasm(edge, _PINK, frosted=0.06, rim=0.5)
    count = int(rng.choice([3, 4, 4, 5]))
    points = p.arc(count, 3.0, 1.0 * count * rng.uniform(0.92, 1.1), rng.uniform(0, 2 * np.pi))
    points += rng.normal(0, 0.25, points.shape)
    radii = list(rng.uniform(1.4, 1.75, count) * (1.14 - 0.04 * count))
    shape = p.rough(p.chain(points, radii, 0.2, blend=5.0), 0.07, 0.9)
    _fine_granules(p, body, 420)
    nucleus = p.nucleus(shape, _MATURE, edge)
    p.notes["lobe"] = (float(points[0, 0]), float(points[0, 1]))
    middle = (points[0] + points[1]) / 2
    p.notes["thin strand"] = (float(middle[0]), float(middle[1]))
    _note_in(p, "pink cytoplasm, fine granules", body * (1 - nucleus))
    return diameter / 2


def _band(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(12.5, 15)
    edge = _cell_edge(p, diameter)
    body = p.cytoplasm(edge, _PINK, frosted=0.06, rim=0.5)
    span = rng.uniform(3.1, 4.1)
    points = p.arc(11, 3.1, span, rng.uniform(0, 2 * np.pi))
    waist = 1 - 0.14 * np.sin(np.linspace(0, np.pi, 11))
    radii = list(1.42 * waist * rng.uniform(0.95, 1.05, 11))
    shape = p.rough(p.chain(points, radii, 1.0, blend=6.0), 0.07, 1.0)
    _fine_granules(p, body, 420)
    nucleus = p.nucleus(shape, _MATURE, edge)
    p.notes["curved band, no strand"] = (float(points[5, 0]), float(points[5, 1]))
    _note_in(p, "pink cytoplasm, fine granules", body * (1 - nucleus))
    return diameter / 2


def _metamyelocyte(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(13.5, 16)
    edge = _cell_edge(p, diameter)
    body = p.cytoplasm(edge, (236, 212, 222), frosted=0.08, rim=0.4)
    turn = rng.uniform(0, 2 * np.pi)
    centre = (-1.2 * np.cos(turn), -1.2 * np.sin(turn))
    whole = p.ellipse(centre, (3.4, 4.9), turn)
    bite = p.disc((2.3 * np.cos(turn) + centre[0], 2.3 * np.sin(turn) + centre[1]), 1.9)
    shape = p.rough(p.notched(whole, bite), 0.06)
    _fine_granules(p, body, 480)
    nucleus = p.nucleus(shape, _OPENING, edge)
    p.notes["indented nucleus"] = (
        float(0.9 * np.cos(turn) + centre[0]),
        float(0.9 * np.sin(turn) + centre[1]),
    )
    _note_in(p, "secondary granules", body * (1 - nucleus))
    return diameter / 2


def _myelocyte(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(14, 17)
    edge = _cell_edge(p, diameter)
    body = p.cytoplasm(edge, (222, 202, 226), frosted=0.12, rim=0.3, deepening=0.25)
    centre = _direction(p, 1.9)
    turn = float(np.arctan2(centre[1], centre[0]))
    shape = p.rough(p.ellipse(centre, (4.2, 5.0), turn), 0.07, 2.0)
    _fine_granules(p, body, 520, (170, 100, 165))
    dark = p.scatter(body, 18, 0.6)
    p.stain(0.7 * p.spots(dark, (0.12, 0.2), 0.14), _AZUROPHIL)
    nucleus = p.nucleus(shape, _OPENING, edge)
    p.notes["round nucleus, no nucleolus"] = centre
    _note_in(p, "pink zone with secondary granules", body * (1 - nucleus))
    return diameter / 2


def _promyelocyte(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(17, 20)
    edge = _cell_edge(p, diameter, uneven=0.03)
    body = p.cytoplasm(edge, (176, 176, 222), frosted=0.1, rim=0.25, deepening=0.3)
    centre = _direction(p, 2.2)
    turn = float(np.arctan2(centre[1], centre[0]))
    hof = p.disc((-1.1 * centre[0], -1.1 * centre[1]), 2.3)
    p.fade(np.asarray(body * p.mask(hof, 2.6), np.float32), 0.6)
    shape = p.rough(p.ellipse(centre, (5.0, 5.8), turn), 0.1, 2.5)
    nucleus = p.nucleus(shape, _FINE, edge)
    spot = (centre[0] + 1.6 * np.sin(turn), centre[1] - 1.6 * np.cos(turn))
    p.nucleolus(spot, 0.95)
    allowed = np.asarray(p.mask(edge + 0.3) * (1 - 0.5 * (p.noise(2.0) > 0.8)), np.float32)
    over = np.asarray(allowed * (1 - nucleus), np.float32)
    p.stain(0.95 * p.spots(p.scatter(over, 190, 0.34), (0.13, 0.27), 0.14), _AZUROPHIL)
    on_nucleus = np.asarray(p.mask(shape + 0.3), np.float32)
    p.stain(0.6 * p.spots(p.scatter(on_nucleus, 45, 0.5), (0.13, 0.24), 0.14), _AZUROPHIL)
    p.notes["nucleolus"] = (float(spot[0]), float(spot[1]))
    p.notes["pale Golgi zone"] = (-1.1 * centre[0], -1.1 * centre[1])
    _note_in(p, "azurophil granules", np.asarray(over * (hof > 2), np.float32))
    return diameter / 2


def _blast(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(14, 18)
    edge = _cell_edge(p, diameter, uneven=0.03)
    centre = _direction(p, 0.085 * diameter)
    turn = float(np.arctan2(centre[1], centre[0]))
    half = 0.41 * diameter
    body = p.cytoplasm(edge, (146, 156, 214), frosted=0.1, rim=0.3, deepening=0.35)
    shape = p.rough(p.ellipse(centre, (half * 0.94, half * 1.03), turn), 0.12, 2.6)
    nucleus = p.nucleus(shape, _FINE, edge)
    spots = [(1.7, 0.9), (-1.2, 2.0), (-0.6, -2.1)][: int(rng.integers(2, 4))]
    for number, (dx, dy) in enumerate(spots):
        where = (centre[0] + dx + rng.normal(0, 0.3), centre[1] + dy + rng.normal(0, 0.3))
        p.nucleolus(where, float(rng.uniform(0.75, 1.15)))
        if number == 0:
            p.notes["nucleolus"] = (float(where[0]), float(where[1]))
    away = (centre[0] * 1.2, centre[1] * 1.2)
    p.notes["fine chromatin"] = (float(away[0]), float(away[1]))
    _note_in(p, "thin basophilic cytoplasm", np.asarray(body * (1 - nucleus), np.float32))
    return diameter / 2


def _lymphocyte(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(8.5, 11)
    edge = _cell_edge(p, diameter)
    body = p.cytoplasm(edge, (176, 200, 236), frosted=0.05, rim=0.3)
    centre = _direction(p, 0.055 * diameter)
    radius = 0.425 * diameter
    shape = p.rough(p.disc(centre, radius, [(2, 0.03), (3, 0.02)]), 0.06)
    nucleus = p.nucleus(shape, _DENSE, edge)
    p.notes["densely packed chromatin"] = centre
    _note_in(p, "thin rim of clear blue", np.asarray(body * (1 - nucleus), np.float32))
    return diameter / 2


def _variant_lymphocyte(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(17, 20)
    edge = _cell_edge(p, diameter, uneven=0.05, rough=0.08)
    # Red cells press dents into the soft cytoplasm, and its border darkens along them.
    start = rng.uniform(0, 2 * np.pi)
    for angle in (start, start + 2.0):
        reach = diameter / 2 + 2.5
        spot = (float(reach * np.cos(angle)), float(reach * np.sin(angle)))
        edge = p.notched(edge, p.disc(spot, 3.95), 4.0)
    body = p.cytoplasm(edge, (190, 206, 236), frosted=0.06, rim=0.7, deepening=0.75)
    centre = _direction(p, 1.6)
    turn = float(np.arctan2(centre[1], centre[0]))
    whole = p.ellipse(centre, (3.9, 5.0), turn + rng.normal(0, 0.4))
    shape = p.rough(whole, 0.25, 2.5)
    nucleus = p.nucleus(
        shape, Chromatin((112, 66, 154), clumps=0.24, clump_size=1.4, strands=0.18), edge
    )
    for angle in (start, start + 2.0):
        reach = diameter / 2 + 2.62
        spot = (float(reach * np.cos(angle)), float(reach * np.sin(angle)))
        normal(p, spot, 7.3)
    p.notes["irregular nucleus"] = centre
    dent = diameter / 2 - 1.6
    p.notes["dark border at a red cell"] = (
        float(dent * np.cos(start)),
        float(dent * np.sin(start)),
    )
    _note_in(p, "abundant pale blue cytoplasm", np.asarray(body * (1 - nucleus), np.float32))
    return diameter / 2


def _plasma_cell(p: Painter) -> float:
    rng = p.rng
    turn = rng.uniform(0, 2 * np.pi)
    edge = p.rough(p.ellipse((0, 0), (7.6, 6.1), turn), 0.08)
    body = p.cytoplasm(edge, (104, 120, 196), frosted=0.14, rim=0.2)
    away = np.array([np.cos(turn), np.sin(turn)])
    centre = (float(3.3 * away[0]), float(3.3 * away[1]))
    hof = p.disc((float(-0.6 * away[0]), float(-0.6 * away[1])), 1.5)
    p.fade(np.asarray(body * p.mask(hof, 2.0), np.float32), 0.62)
    shape = p.rough(p.disc(centre, 3.1, [(2, 0.03)]), 0.04)
    nucleus = p.nucleus(shape, Chromatin((118, 70, 158), clumps=0.05, strands=0.1), edge)
    # Blocks of chromatin along the membrane, as the figures on a clock's dial.
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False) + rng.uniform(0, 1)
    blocks = [(centre[0] + 2.25 * np.cos(a), centre[1] + 2.25 * np.sin(a)) for a in angles] + [
        centre
    ]
    p.stain(0.6 * nucleus * p.spots(blocks, (0.5, 0.8), 0.5), (84, 40, 130))
    p.notes["clock-face chromatin"] = centre
    p.notes["pale zone (hof)"] = (float(-0.6 * away[0]), float(-0.6 * away[1]))
    _note_in(p, "deep blue cytoplasm", np.asarray(body * (1 - nucleus) * (hof > 1.2), np.float32))
    return 7.0


def _monocyte(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(16, 19)
    edge = _cell_edge(p, diameter, uneven=0.05, rough=0.12)
    body = p.cytoplasm(edge, (184, 188, 214), frosted=0.13, rim=0.2)
    turn = rng.uniform(0, 2 * np.pi)
    axis = np.array([np.cos(turn), np.sin(turn)])
    whole = p.ellipse((float(-0.9 * axis[0]), float(-0.9 * axis[1])), (4.9, 6.1), turn)
    bite = p.disc((float(4.1 * axis[0]), float(4.1 * axis[1])), 2.7)
    shape = p.rough(p.notched(whole, bite), 0.22, 2.2)
    _fine_granules(p, body, 420, (190, 130, 180))
    nucleus = p.nucleus(shape, _LACY, edge)
    fold = p.chain(
        np.array(
            [
                [-3.4 * axis[0] - 1.6 * axis[1], -3.4 * axis[1] + 1.6 * axis[0]],
                [0.2 * axis[0] + 0.4 * axis[1], 0.2 * axis[1] - 0.4 * axis[0]],
            ]
        ),
        [0.1, 0.1],
        0.1,
    )
    p.stain(0.25 * nucleus * p.mask(fold, 0.5), (100, 60, 140))
    free = np.asarray(p.mask(edge + 0.9) * (1 - p.mask(shape - 0.7)), np.float32)
    holes = p.scatter(free, 6, 1.4)
    p.vacuoles(holes, (0.35, 0.65))
    p.notes["folded, lacy nucleus"] = (float(-2.2 * axis[0]), float(-2.2 * axis[1]))
    if holes:
        p.notes["vacuole"] = holes[0]
    _note_in(p, "grey-blue ground-glass cytoplasm", np.asarray(body * (1 - nucleus), np.float32))
    return diameter / 2


def _promonocyte(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(17, 19.5)
    edge = _cell_edge(p, diameter, uneven=0.04, rough=0.08)
    body = p.cytoplasm(edge, (166, 172, 214), frosted=0.16, rim=0.2, deepening=0.15)
    turn = rng.uniform(0, 2 * np.pi)
    axis = np.array([np.cos(turn), np.sin(turn)])
    whole = p.ellipse((float(-0.8 * axis[0]), float(-0.8 * axis[1])), (5.4, 6.4), turn)
    bite = p.disc((float(6.3 * axis[0]), float(6.3 * axis[1])), 2.6)
    shape = p.rough(p.notched(whole, bite), 0.25, 2.4)
    nucleus = p.nucleus(shape, _FINE, edge)
    creases = (((-3.5, 2.6), (2.6, 0.3)), ((-2.8, -3.2), (0.8, -0.6)))
    for (a, b), (c, d) in creases:
        ends = np.array(
            [
                [a * axis[0] - b * axis[1], a * axis[1] + b * axis[0]],
                [c * axis[0] - d * axis[1], c * axis[1] + d * axis[0]],
            ]
        )
        fold = p.rough(p.chain(ends, [0.1, 0.1], 0.1), 0.25, 1.6)
        p.stain(0.4 * nucleus * p.mask(fold, 0.35), (110, 66, 150))
    spot = (float(-2.6 * axis[0] + 0.4 * axis[1]), float(-2.6 * axis[1] - 0.4 * axis[0]))
    p.nucleolus(spot, 0.85)
    free = np.asarray(body * (1 - nucleus), np.float32)
    p.stain(0.6 * p.spots(p.scatter(free, 60, 0.4), (0.08, 0.16), 0.14), _AZUROPHIL)
    p.notes["nucleolus"] = spot
    p.notes["delicate fold"] = (
        float(-0.4 * axis[0] - 1.4 * axis[1]),
        float(-0.4 * axis[1] + 1.4 * axis[0]),
    )
    _note_in(p, "grey-blue cytoplasm, few fine granules", free)
    return diameter / 2


def _eosinophil(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(13, 15.5)
    edge = _cell_edge(p, diameter)
    body = p.cytoplasm(edge, (240, 206, 196), frosted=0.05, rim=0.3)
    turn = rng.uniform(0, 2 * np.pi)
    points = p.arc(2, 3.0, rng.uniform(1.7, 2.2), turn)
    shape = p.rough(p.chain(points, list(rng.uniform(2.0, 2.45, 2)), 0.3, blend=4.0), 0.07)
    grains = p.scatter(p.mask(edge + 0.35), 420, 0.52)
    spheres = p.spots(grains, (0.3, 0.38), 0.16)
    p.cover(spheres, _ORANGE, 1.15)
    shine = p.spots([(x - 0.08, y - 0.1) for x, y in grains], (0.08, 0.14), 0.2)
    p.fade(0.8 * shine, 0.45)
    nucleus = p.nucleus(shape, _MATURE, edge)
    p.notes["two lobes"] = (float(points[0, 0]), float(points[0, 1]))
    _note_in(p, "coarse orange-red granules", np.asarray(body * (1 - nucleus), np.float32))
    return diameter / 2


def _basophil(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(11.5, 13.5)
    edge = _cell_edge(p, diameter, uneven=0.03)
    body = p.cytoplasm(edge, (226, 208, 228), frosted=0.06, rim=0.3)
    points = p.arc(3, 1.9, 3.2, rng.uniform(0, 2 * np.pi))
    shape = p.rough(p.chain(points, [2.2, 1.9, 2.1], 0.8, blend=2.0), 0.12)
    p.nucleus(shape, Chromatin((134, 88, 164), clumps=0.16, strands=0.1), edge)
    grains = p.scatter(p.mask(edge + 0.1), 95, 0.72)
    p.cover(0.95 * p.spots(grains, (0.28, 0.55), 0.18), _BASOPHIL, 1.0)
    p.notes["nucleus under the granules"] = (float(points[1, 0]), float(points[1, 1]))
    outer = [g for g in grains if np.hypot(*g) > 0.33 * diameter] or grains
    p.notes["coarse violet granule"] = outer[0]
    assert body.any()
    return diameter / 2


def _erythroblast(p: Painter) -> float:
    rng = p.rng
    diameter = rng.uniform(9.5, 11.5)
    edge = _cell_edge(p, diameter, uneven=0.03)
    body = p.cytoplasm(edge, (176, 160, 196), frosted=0.05, rim=0.15)
    centre = _direction(p, 0.8)
    shape = p.disc(centre, rng.uniform(2.5, 2.9), [(2, 0.02)])
    nucleus = p.nucleus(
        shape,
        Chromatin((62, 30, 98), clumps=0.42, clump_size=1.0, strands=0.06, membrane=0.15),
        edge,
    )
    p.notes["round, very dense nucleus"] = centre
    _note_in(p, "grey-pink cytoplasm, no granules", np.asarray(body * (1 - nucleus), np.float32))
    return diameter / 2


def _platelet(p: Painter) -> float:
    platelet(p, (0, 0), float(p.rng.uniform(2.4, 3.0)))
    p.notes["granules in the middle"] = (0.0, 0.0)
    return 1.6


def _giant_platelet(p: Painter) -> float:
    rng = p.rng
    edge = p.rough(p.ellipse((0, 0), (4.6, 3.9), rng.uniform(0, 3)), 0.3, 1.6)
    body = p.cytoplasm(edge, (204, 192, 226), frosted=0.1, rim=0.1)
    inner = p.mask(edge + 0.6, 0.8)
    p.stain(0.7 * p.spots(p.scatter(inner, 120, 0.38), (0.12, 0.24), 0.18), (128, 64, 156))
    p.notes["purple granules, no nucleus"] = (0.0, 0.0)
    _note_in(p, "clear outer zone", np.asarray(body * (1 - inner), np.float32))
    return 5.0


def _platelet_clump(p: Painter) -> float:
    rng = p.rng
    placed = [(0.0, 0.0)]
    while len(placed) < 22:
        x, y = placed[int(rng.integers(len(placed)))]
        step = _direction(p, rng.uniform(1.7, 2.2))
        spot = (x + step[0], y + step[1])
        apart = min(np.hypot(spot[0] - a, spot[1] - b) for a, b in placed)
        if apart > 1.6 and np.hypot(*spot) < 6.3:
            placed.append(spot)
    for spot in placed:
        platelet(p, spot, float(rng.uniform(2.0, 3.1)))
    p.notes["single platelet in the clump"] = max(placed, key=lambda s: np.hypot(*s))
    return 7.4


def _smudge_cell(p: Painter) -> float:
    rng = p.rng
    turn = rng.uniform(0, 2 * np.pi)
    smear = p.rough(p.ellipse((0, 0), (8.0, 5.8), turn), 1.1, 3.4)
    shape = p.mask(smear, 1.6)
    x, y = p.turned((0, 0), turn)
    # Strands of spread chromatin follow the direction in which the cell was dragged.
    wavy = 2.1 * y + 1.5 * p.noise(3.2) + 0.5 * p.noise(1.1) + 0.25 * x
    streak = np.tanh(1.4 * np.sin(wavy) + 0.7 * p.noise(0.8))
    amount = np.clip(0.72 + 0.34 * streak + 0.12 * p.noise(0.4), 0.12, 1.6)
    p.cover(shape, (168, 112, 184), np.asarray(amount, np.float32))
    p.vacuoles(p.scatter(p.mask(smear + 1.0), 5, 2.4), (0.4, 0.9))
    p.notes["smeared chromatin"] = (0.0, 0.0)
    tip = 7.6
    p.notes["no cell border"] = (float(tip * np.cos(turn)), float(tip * np.sin(turn)))
    return 9.0


def _precursors(p: Painter, small: bool) -> float:
    """Paint cells as fields of the ALL set show them: lymphoblasts, or small hematogones."""
    rng = p.rng
    count = 4 if small else 6
    centres: list[tuple[float, float, float]] = []
    for _ in range(4000):
        if len(centres) == count:
            break
        diameter = rng.uniform(9.5, 12) if small else rng.uniform(11, 15.5)
        reach = p.side / 2 - diameter / 2 - 1
        x, y = rng.uniform(-reach, reach, 2)
        if all(np.hypot(x - a, y - b) > (diameter + d) / 2 + 0.6 for a, b, d in centres):
            centres.append((float(x), float(y), float(diameter)))
    for x, y, diameter in centres:
        waves = [(2, rng.normal(0, 0.03)), (3, rng.normal(0, 0.03))]
        edge = p.rough(p.disc((x, y), diameter / 2, waves), 0.05)
        p.cytoplasm(edge, (158, 168, 218), frosted=0.08, rim=0.3, deepening=0.2)
        dx, dy = _direction(p, 0.05 * diameter)
        radius = diameter * (0.455 if small else 0.43)
        shape = p.rough(p.disc((x + dx, y + dy), radius, [(2, 0.04)]), 0.15, 2.2)
        smooth = Chromatin((100, 58, 146), clumps=0.1, clump_size=1.6, strands=0.12)
        p.nucleus(shape, smooth if small else _OPENING, edge)
        if not small and rng.random() < 0.6:
            p.nucleolus((x + dx + rng.normal(0, 0.8), y + dy + rng.normal(0, 0.8)), 0.7)
    _fill_between(p, centres)
    return -1.0


def _fill_between(p: Painter, centres: list[tuple[float, float, float]]) -> None:
    placed = list(centres)
    for _ in range(900):
        x, y = p.rng.uniform(-p.side / 2 - 1, p.side / 2 + 1, 2)
        if all(np.hypot(x - a, y - b) > d / 2 + 4.0 for a, b, d in placed):
            normal(p, (float(x), float(y)), float(p.rng.normal(7.2, 0.3)))
            placed.append((float(x), float(y), 7.4))


def _hematogones(p: Painter) -> float:
    return _precursors(p, small=True)


def _lymphoblasts(p: Painter) -> float:
    return _precursors(p, small=False)


def _any_of(*drawers: Callable[[Painter], float]) -> Callable[[Painter], float]:
    return lambda p: drawers[int(p.rng.integers(len(drawers)))](p)


_WHITE: dict[str, Callable[[Painter], float]] = {
    "neutrophil": _segmented,
    "segmented": _segmented,
    "band": _band,
    "immature_granulocyte": _any_of(_metamyelocyte, _myelocyte, _promyelocyte),
    "metamyelocyte": _metamyelocyte,
    "myelocyte": _myelocyte,
    "promyelocyte": _promyelocyte,
    "blast": _blast,
    "lymphocyte": _lymphocyte,
    "variant_lymphocyte": _variant_lymphocyte,
    "plasma_cell": _plasma_cell,
    "monocyte": _monocyte,
    "promonocyte": _promonocyte,
    "eosinophil": _eosinophil,
    "basophil": _basophil,
    "erythroblast": _erythroblast,
    "platelet": _platelet,
    "giant_platelet": _giant_platelet,
    "platelet_clump": _platelet_clump,
    "smudge_cell": _smudge_cell,
    "Benign": _hematogones,
    "Early": _lymphoblasts,
    "Pre": _lymphoblasts,
    "Pro": _lymphoblasts,
}
"""Each paints a cell and returns how far it reaches, in µm; -1 where no room is left around it."""

PORTRAITS: tuple[str, ...] = (*_WHITE, *RED_CELLS)
"""What can be drawn."""


_ALONE_SIDE = 34.0
"""In µm; no white cell is wider."""


def paint_alone(key: str, rng: np.random.Generator, pixels_per_micrometre: float) -> Map:
    """Paint a white cell, or a platelet, on empty glass; return its optical density, n x n x 3.

    KeyError for what is no single cell.
    """
    painter = Painter(rng, _ALONE_SIDE, round(_ALONE_SIDE * pixels_per_micrometre))
    _WHITE[key](painter)
    return painter.density


def side_of(key: str) -> float:
    """Return how many µm the picture of an entry shows from edge to edge."""
    return _SIDES.get(key, SIDE_MICROMETRES)


def draw_portrait(key: str, seed: int, size: int = 384, side: float | None = None) -> Portrait:
    """Draw one of `PORTRAITS`; the seed decides everything. KeyError for another key.

    `side` in µm replaces the usual width, to show two cells at one scale.
    """
    side = side or side_of(key)
    # The name is part of the seed: pictures of two types never share their background.
    rng = np.random.default_rng([seed, *key.encode()])
    painter = Painter(rng, side, size)
    if key in RED_CELLS:
        RED_CELLS[key](painter)
        clear = {"rouleaux": 11.0, "schistocyte": 6.6}.get(key, 5.2)
    else:
        clear = _WHITE[key](painter)
    if clear >= 0:
        around(painter, clear, cells=round(0.028 * side**2))
    return Portrait(painter.expose(), side, dict(painter.notes))
