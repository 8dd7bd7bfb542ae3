"""Paints red cells and platelets of one shape each, for teaching."""

from collections.abc import Callable

import numpy as np

from core.synthetic.painter import Colour, Map, Painter, Point

HAEMOGLOBIN: Colour = (216, 160, 154)
_YOUNG: Colour = (176, 158, 190)
NORMAL_DIAMETER = 7.5


def disc_cell(  # noqa: PLR0913 - what a red cell is made of
    painter: Painter,
    edge: Map,
    *,
    pallor: float = 0.55,
    hollow: float = 0.42,
    colour: Colour = HAEMOGLOBIN,
    depth: float = 1.0,
    radius: float = NORMAL_DIAMETER / 2,
) -> None:
    """Paint a red cell: `hollow` is the radius of the central pallor over that of the cell."""
    inner = -edge / radius  # 0 at the edge, 1 in the middle of a round cell
    pale = 1 / (1 + np.exp(np.clip((1 - hollow - inner) / 0.07, -30, 30)))
    rounded = np.clip(-edge / 0.45, 0, 1) ** 0.5
    amount = depth * (1 - pallor * pale) * (0.62 + 0.38 * rounded) * (1 + 0.02 * painter.noise(1.2))
    painter.cover(painter.mask(edge), colour, np.asarray(amount, np.float32))


def normal(painter: Painter, centre: Point = (0, 0), diameter: float = NORMAL_DIAMETER) -> None:
    """Paint a biconcave disc."""
    painter = painter.close_up(centre, 0.6 * diameter)
    if not painter.x.size:
        return
    edge = painter.disc(centre, diameter / 2, [(2, 0.025), (3, 0.015)])
    disc_cell(painter, edge, pallor=painter.rng.uniform(0.5, 0.65), radius=diameter / 2)


def platelet(painter: Painter, centre: Point = (0, 0), diameter: float = 2.6) -> None:
    """Paint a platelet: a pale blue body with violet granules in its middle."""
    painter = painter.close_up(centre, 0.9 * diameter)
    edge = painter.disc(centre, diameter / 2, [(2, 0.1), (3, 0.07), (5, 0.05)])
    body = painter.mask(edge)
    painter.cover(body, (200, 186, 222), 1 + 0.1 * painter.noise(0.4))
    inner = painter.mask(edge + 0.16 * diameter, 0.5)
    count = int(14 * (diameter / 2.6) ** 2)
    places = painter.scatter(inner, count, 0.26)
    painter.stain(0.75 * painter.spots(places, (0.1, 0.2), 0.16), (120, 60, 150))


def around(painter: Painter, clear: float, *, cells: int = 14, platelets: int = 1) -> None:
    """Paint red cells and platelets that keep `clear` µm away from the middle."""
    rng, half = painter.rng, painter.side / 2
    placed = np.zeros((0, 2))
    for _ in range(60 * cells):
        if len(placed) == cells:
            break
        point = rng.uniform(-half - 2, half + 2, 2)
        gap = np.hypot(*(placed - point).T).min(initial=np.inf)
        if np.hypot(*point) < clear + 4.0 or gap < 7.9:
            continue
        placed = np.vstack([placed, point])
        normal(painter, (float(point[0]), float(point[1])), float(rng.normal(7.4, 0.3)))
    for _ in range(40 * platelets):
        point = rng.uniform(-half + 1.5, half - 1.5, 2)
        gap = np.hypot(*(placed - point).T).min(initial=np.inf)
        if np.hypot(*point) > clear + 2 and gap > 5.6:
            platelet(painter, (float(point[0]), float(point[1])), float(rng.uniform(2, 2.8)))
            platelets -= 1
        if platelets <= 0:
            break


def _discocyte(painter: Painter) -> None:
    normal(painter)


def _microcyte(painter: Painter) -> None:
    edge = painter.disc((0, 0), 2.9, [(2, 0.03)])
    disc_cell(painter, edge, pallor=0.82, hollow=0.64, radius=2.9, depth=0.8)
    painter.notes["wide central pallor"] = (0.0, 0.0)


def _macrocyte(painter: Painter) -> None:
    turn = painter.rng.uniform(0, np.pi)
    edge = painter.ellipse((0, 0), (5.0, 4.4), turn)
    disc_cell(painter, edge, pallor=0.18, hollow=0.3, radius=4.4, depth=1.1)


def _spherocyte(painter: Painter) -> None:
    edge = painter.disc((0, 0), 2.95, [(2, 0.01)])
    disc_cell(painter, edge, pallor=0.0, radius=2.95, depth=1.45)
    painter.notes["no central pallor"] = (0.0, 0.0)


def _elliptocyte(painter: Painter) -> None:
    turn = painter.rng.uniform(-0.6, 0.6)
    edge = painter.ellipse((0, 0), (5.0, 2.5), turn)
    disc_cell(painter, edge, pallor=0.5, hollow=0.45, radius=2.5)


def _teardrop(painter: Painter) -> None:
    turn = painter.rng.uniform(-0.9, -0.4)
    along = np.linspace(0, 1, 14)
    reach = 6.4 * along - 1.4
    bow = 0.5 * along**2
    points = np.stack(
        [reach * np.cos(turn) - bow * np.sin(turn), reach * np.sin(turn) + bow * np.cos(turn)], 1
    )
    radii = list(0.28 + 2.75 * (1 - along) ** 1.9)
    edge = painter.chain(points, radii, 0.1, blend=9.0)
    disc_cell(painter, edge, pallor=0.5, hollow=0.42, radius=3.1)
    painter.notes["single tail"] = (float(points[-2, 0]), float(points[-2, 1]))


def _target_cell(painter: Painter) -> None:
    edge = painter.disc((0, 0), 4.0, [(2, 0.025), (3, 0.015)])
    disc_cell(painter, edge, pallor=0.75, hollow=0.66, radius=4.0)
    middle = painter.disc((0, 0), 1.25, [(2, 0.06)])
    painter.cover(painter.mask(middle, 0.9), HAEMOGLOBIN, 1.0)
    painter.notes["central spot"] = (0.0, 0.0)


def _sickle_cell(painter: Painter) -> None:
    turn = painter.rng.uniform(-0.4, 0.4) - np.pi / 2
    angles = turn + np.linspace(-1.15, 1.15, 17)
    points = 4.7 * np.stack([np.cos(angles), np.sin(angles)], 1)
    points -= points.mean(axis=0)
    radii = list(0.12 + 1.3 * (1 - np.linspace(-1, 1, 17) ** 2) ** 0.9)
    edge = painter.chain(points, radii, 0.1, blend=9.0)
    disc_cell(painter, edge, pallor=0.0, radius=1.5, depth=1.3)
    painter.notes["pointed end"] = (float(points[-1, 0]), float(points[-1, 1]))


def _schistocyte(painter: Painter) -> None:
    turn = painter.rng.uniform(-0.4, 0.4)
    x, y = painter.turned((0, 0), turn)
    round_side = np.hypot(x, (y + 0.4) * 1.05) - 3.0
    bite = np.hypot(x / 1.15, y - 2.5) - 2.7  # leaves two horns: a helmet
    edge = Painter.notched(np.asarray(round_side, np.float32), np.asarray(bite, np.float32), 5.0)
    disc_cell(painter, edge, pallor=0.0, radius=2.4, depth=1.15)
    painter.notes["horn"] = (
        2.6 * np.cos(turn) - 1.0 * np.sin(turn),
        2.6 * np.sin(turn) + 1.0 * np.cos(turn),
    )
    other = painter.disc((-5.2, 4.4), 1.5, [(2, 0.18), (3, 0.2)])
    disc_cell(painter, other, pallor=0.0, radius=1.5, depth=1.1)


def _spiky(painter: Painter, spikes: int, even: bool, reach: float) -> None:
    rng = painter.rng
    angles = np.linspace(0, 2 * np.pi, spikes, endpoint=False)
    lengths = np.full(spikes, reach)
    if not even:
        angles = angles + rng.normal(0, 0.32, spikes)
        lengths = reach * rng.uniform(0.5, 1.7, spikes)
    theta = np.arctan2(painter.y, painter.x)
    radius = np.full_like(painter.x, 3.05)
    sharp = 42.0 if even else 26.0
    for angle, length in zip(angles, lengths, strict=True):
        radius += np.float32(length) * np.exp(sharp * (np.cos(theta - np.float32(angle)) - 1))
    edge = np.asarray(np.hypot(painter.x, painter.y) - radius, np.float32)
    disc_cell(painter, edge, pallor=0.35 if even else 0.0, hollow=0.35, radius=3.1, depth=1.1)
    middle = float(angles[0])
    tip = 3.05 + float(lengths[0]) * 0.8
    label = "even, short spikes" if even else "uneven, blunt spikes"
    painter.notes[label] = (tip * np.cos(middle), tip * np.sin(middle))


def _echinocyte(painter: Painter) -> None:
    _spiky(painter, int(painter.rng.integers(14, 18)), even=True, reach=0.55)


def _acanthocyte(painter: Painter) -> None:
    _spiky(painter, int(painter.rng.integers(5, 8)), even=False, reach=1.15)


def _stomatocyte(painter: Painter) -> None:
    edge = painter.disc((0, 0), 3.8, [(2, 0.03)])
    disc_cell(painter, edge, pallor=0.0, radius=3.8, depth=1.1)
    slit = painter.ellipse((0, 0), (2.1, 0.62), painter.rng.uniform(-0.6, 0.6))
    painter.fade(painter.mask(slit, 0.7), 0.8)
    painter.notes["slit-like pallor"] = (0.0, 0.0)


def _polychromatic(painter: Painter) -> None:
    edge = painter.disc((0, 0), 4.5, [(2, 0.04), (3, 0.02)])
    disc_cell(painter, edge, pallor=0.08, radius=4.5, colour=_YOUNG, depth=1.25)


def _rouleaux(painter: Painter) -> None:
    turn = painter.rng.uniform(-0.3, 0.3)
    cells = 7
    for number in range(cells):
        along = (number - (cells - 1) / 2) * 2.9
        middle = (along * np.cos(turn), along * np.sin(turn) + 0.4 * np.sin(along / 4))
        edge = painter.disc(middle, 3.5, [(2, 0.03)])
        disc_cell(painter, edge, pallor=0.3, hollow=0.35, radius=3.5)
        shadow = np.exp(-(((edge + 0.1) / 0.18) ** 2)).astype(np.float32)
        painter.stain(0.22 * shadow * painter.mask(edge), (170, 100, 100))


RED_CELLS: dict[str, Callable[[Painter], None]] = {
    "discocyte": _discocyte,
    "microcyte": _microcyte,
    "macrocyte": _macrocyte,
    "polychromatic_cell": _polychromatic,
    "spherocyte": _spherocyte,
    "target_cell": _target_cell,
    "stomatocyte": _stomatocyte,
    "elliptocyte": _elliptocyte,
    "teardrop_cell": _teardrop,
    "sickle_cell": _sickle_cell,
    "schistocyte": _schistocyte,
    "echinocyte": _echinocyte,
    "acanthocyte": _acanthocyte,
    "rouleaux": _rouleaux,
}
"""Painters of the shapes that the atlas shows."""
