"""A count in a slide: every cell once, in the area worth counting, stopped and continued."""

from dataclasses import replace
from itertools import pairwise
from threading import Event
from time import monotonic

import cv2
import numpy as np
import pytest
from tifffile import imwrite

from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import NOT_A_WHITE_CELL
from core.errors import FAILED_INSIDE, DamagedSlideError
from core.slides.analysis import analyze_tiles
from core.slides.counting import (
    COUNTABLE,
    COUNTED,
    GLASS,
    THICK,
    SlideCount,
    battlement,
    chance_of_missing,
)
from core.slides.folders import SlideFolders
from core.slides.tiles import SlideView
from tests.cases.made import REVIEWER, SECOND

SCALE = 0.25
WIDTH, HEIGHT = 2400, 1600
GLASS_LEFT, THICK_RIGHT = 500, 2000
WHITE = 36
"""Pixels across of a white cell."""


def draw():
    """Draw glass at the left, a thick part at the right; between them red and white cells.

    Return the image and the middles of the white cells, some on every seam.
    """
    pixels = np.full((HEIGHT, WIDTH, 3), 240, np.uint8)
    pixels[:, THICK_RIGHT:] = (190, 120, 140)
    middles = []
    for y in range(40, HEIGHT - 30, 67):
        for x in range(GLASS_LEFT + 40, THICK_RIGHT - 40, 61):
            cv2.circle(pixels, (x, y), 14, (205, 150, 160), -1)
            if (x + 3 * y) % 5 == 0:
                cv2.circle(pixels, (x, y), WHITE // 2, (90, 40, 130), -1)
                middles.append((x, y))
    return pixels, middles


def find(image):
    """Return the dark discs of a field as white cells."""
    dark = (image.pixels[..., 0] < 130).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(dark)
    cells = tuple(
        Cell("wbc", Box(*map(float, box[:4])), 0.99, type="neutrophil", probabilities={})
        for box in boxes[1:]
    )
    return FieldAnalysis(
        file=image.name,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        properties=image.properties,
        cells=cells,
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    pixels, middles = draw()
    imwrite(
        folder / "slide.tif",
        pixels,
        photometric="rgb",
        tile=(256, 256),
        compression="zlib",
        resolution=(1e4 / SCALE, 1e4 / SCALE),
        resolutionunit="CENTIMETER",
    )
    (slide,) = SlideFolders([folder]).slides().values()
    return slide, middles


def here(slide, analyze=find):
    """Return what analyses tiles of a slide in this process."""
    return lambda tiles: analyze_tiles(slide.path, slide.name, tiles, analyze)


def new_count(drawn, analyze=find):
    slide, _ = drawn
    return SlideCount(slide, SlideView(slide.path), here(slide, analyze))


def found(count):
    return sorted(tuple(map(round, cell.box.centre)) for cell in count.analysis().cells)


def test_every_cell_is_counted_once_and_glass_and_thick_parts_are_left_out(drawn):
    count = new_count(drawn)
    for tile, area in count.areas.items():
        left, _, right, _ = tile.interior
        if right < GLASS_LEFT:
            assert area == GLASS
        elif left > THICK_RIGHT:
            assert area == THICK
        elif left > GLASS_LEFT and right < THICK_RIGHT:
            assert area == COUNTABLE
    count.start(None)
    count.wait()
    middles = drawn[1]
    reached = [(x, y) for x, y in middles if any(tile.holds(x, y) for tile in count.path)]
    assert len(reached) > 0.9 * len(middles)
    seams = {side for tile in count.path for side in tile.interior}
    assert any(min(abs(x - side) for side in seams) < WHITE / 2 for x, _ in reached)
    assert len(found(count)) == len(reached)
    distances = [abs(x - a) + abs(y - b) for (x, y), (a, b) in zip(found(count), sorted(reached))]  # noqa: B905
    assert max(distances) <= 2
    assert set(count.states()) <= {GLASS, THICK, COUNTED}
    assert count.error is None


def test_a_count_ends_with_enough_cells_and_goes_on_where_it_was(drawn):
    whole, count = new_count(drawn), new_count(drawn)
    whole.start(None)
    count.start(10)
    whole.wait()
    count.wait()
    few, tiles = len(found(count)), count.done
    assert 10 <= few < len(found(whole))
    assert tiles < len(count.path)
    assert count.seconds_left == 0
    count.start(None)
    count.wait()
    assert count.done == len(count.path)
    assert found(count) == found(whole)


def test_a_count_is_stopped_and_keeps_what_it_found(drawn):
    begun, go = Event(), Event()

    def slow(image):
        begun.set()
        go.wait(10)
        return find(image)

    count = new_count(drawn, slow)
    count.start(None)
    begun.wait(10)
    assert count.running
    count.stop()
    go.set()
    count.wait()
    assert 0 < count.done < len(count.path)
    assert not count.running


@pytest.mark.parametrize("error", [DamagedSlideError(), ZeroDivisionError("secret")])
def test_a_failure_is_said_and_loses_nothing(drawn, error):
    failing = [False]

    def analyze(image):
        if failing[0]:
            raise error
        return find(image)

    count = new_count(drawn, analyze)
    count.start(5)
    count.wait()
    before = found(count)
    failing[0] = True
    count.start(None)
    count.wait()
    assert count.error == (str(error) if isinstance(error, DamagedSlideError) else FAILED_INSIDE)
    assert found(count) == before
    failing[0] = False
    count.start(None)
    count.wait()
    assert count.error is None
    assert count.done == len(count.path)


def test_the_path_goes_up_and_down_through_neighbours(drawn):
    path = battlement(list(new_count(drawn).areas))
    assert len(set(path)) == len(path)
    rows = sorted({tile.interior[1] for tile in path})
    columns = sorted({tile.interior[0] for tile in path})
    for one, other in pairwise(path):
        across = abs(columns.index(one.interior[0]) - columns.index(other.interior[0]))
        down = abs(rows.index(one.interior[1]) - rows.index(other.interior[1]))
        assert across + down == 1 or across == 0  # between bands it stays in its column


def test_a_count_gives_way_to_somebody_who_looks_at_the_slide(drawn):
    slide, _ = drawn
    view = SlideView(slide.path)
    seen = []
    looking = here(slide, lambda image: seen.append(monotonic()) or find(image))
    count = SlideCount(slide, view, looking)
    view.read_at = monotonic() + 0.3
    looked = view.read_at
    count.start(1)
    count.wait()
    assert seen[0] > looked
    assert count.done


def test_labels_stay_while_a_count_goes_on_and_are_taken_back(drawn):
    count = new_count(drawn)
    count.start(10)
    count.wait()
    model = count.snapshot().model
    _, cell = model.white_cells()[0]
    count.label(cell, "blast", REVIEWER)
    count.label(cell, "monocyte", SECOND)
    moved = replace(cell, box=Box(cell.box.x + 3, cell.box.y, cell.box.width, cell.box.height))
    gone = replace(cell, box=Box(5, 5, 20, 20))
    other = model.white_cells()[1][1]
    count.label(other, NOT_A_WHITE_CELL, REVIEWER)
    before = count.version
    count.label(gone, "basophil", REVIEWER)
    assert count.version != before
    types = count.analysis().counts.types
    assert (types["monocyte"], types["basophil"], types["blast"]) == (1, 1, 0)
    assert len(count.analysis().cells) == len(model.cells) + 1  # no decision is lost
    count.undo(REVIEWER)
    count.start(None)
    count.wait()
    count.label(moved, "eosinophil", SECOND)  # another box of the cell that was named
    now = count.snapshot()
    assert [given.label for _, given in now.labels] == [
        "blast",
        "monocyte",
        NOT_A_WHITE_CELL,
        "eosinophil",
    ]
    assert len({number for number, _ in now.labels}) == 2
    assert now.analysis.counts.types["eosinophil"] == 1
    assert {cell.reviewer for cell in now.model.cells} == {None}
    assert len(now.model.cells) == len(now.analysis.cells)


def test_few_cells_miss_rare_blasts():
    assert chance_of_missing(0.01, 200) == pytest.approx(0.134, abs=0.001)
