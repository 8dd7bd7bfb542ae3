import json
from types import SimpleNamespace

import pytest

from core.errors import TourError
from core.teaching.atlas import get_atlas
from core.teaching.tours import (
    LARGEST_FILE,
    MOST_STEPS,
    CaseStep,
    ComparisonStep,
    EntryStep,
    SlideStep,
    SyntheticStep,
    Tour,
    atlas_tour,
    check_case,
    check_slide,
    read_tour,
    shipped_tours,
)
from tests.cases.made import red, white

IMAGE = "0123456789abcdef"


@pytest.fixture
def tour():
    return Tour(
        title="Monday",
        steps=(
            EntryStep(cell="blast", text="Look at <b>the nucleus</b> & count"),
            ComparisonStep(cell="blast", other="lymphocyte"),
            SyntheticStep(seed=7, white_cells=5),
            CaseStep(sample=3, field=2, image=IMAGE, cell=4),
            SlideStep(slide=IMAGE, version="1f-a0", x=450, y=0, zoom=0.5, turn=90, plane=2),
        ),
    )


def test_a_tour_is_read_as_it_was_written(tour):
    assert read_tour(tour.to_json(), get_atlas()) == tour
    for shipped in (*shipped_tours().values(), atlas_tour(get_atlas())):
        assert read_tour(shipped.to_json(), get_atlas()) == shipped
        assert len(shipped.steps) >= 10


def step(**content):
    return json.dumps({"title": "T", "steps": [{"kind": "entry", "cell": "blast"}, content]})


def slide_step(**content):
    place = {"slide": IMAGE, "version": "1f-a0", "x": 1, "y": 1, "zoom": 1}
    return step(kind="slide", **(place | content))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"null", "no tour of Leukoscope"),
        (b"[1, 2]", "no tour of Leukoscope"),
        (b'{"title": "", "steps": []}', "no tour of Leukoscope"),
        (b'{"title": "T", "steps": [], "more": 1}', "no tour of Leukoscope"),
        (b'{"title": "T", "steps": [], "version": 2}', "newer version"),
        (b" " * (LARGEST_FILE + 1), "larger than"),
        (json.dumps({"title": "T", "steps": [{"kind": "synthetic", "seed": 1}] * 201}), "no tour"),
        (step(kind="script", cell="blast"), "Step 2"),
        (step(kind="entry", cell="blast", onload="x"), "Step 2"),
        (step(kind="entry", cell="dragon"), "Step 2"),
        (step(kind="entry", cell="blast", text="x" * 1001), "Step 2"),
        (step(kind="entry", cell="../../etc/passwd"), "Step 2"),
        (step(kind="comparison", cell="blast", other="dragon"), "Step 2"),
        (step(kind="synthetic", seed=-1, white_cells=4), "Step 2"),
        (step(kind="synthetic", seed=1, white_cells=10**9), "Step 2"),
        (step(kind="synthetic", seed="1"), "Step 2"),
        (step(kind="case", sample=1, field=1, image="x"), "Step 2"),
        (step(kind="case", sample=10**30, field=1, image=IMAGE), "Step 2"),
        (slide_step(slide="../../etc/passwd"), "Step 2"),
        (slide_step(zoom=0), "Step 2"),
        (slide_step(zoom=1e9), "Step 2"),
        (slide_step(zoom=5e-324), "Step 2"),
        (slide_step(version="../x"), "Step 2"),
        (slide_step(turn=45), "Step 2"),
        (slide_step(x=-1), "Step 2"),
        (slide_step(y=10**30), "Step 2"),
    ],
)
def test_hostile_files_are_rejected_with_a_sentence_that_quotes_nothing(data, sentence):
    data = data.encode() if isinstance(data, str) else data
    with pytest.raises(TourError, match=sentence) as caught:
        read_tour(data, get_atlas())
    assert not any(word in str(caught.value) for word in ("dragon", "passwd", "script", "xxx"))


def test_steps_are_added_moved_written_and_removed(tour):
    moved = tour.moved(0, 1)
    assert moved.steps[1] == tour.steps[0]
    assert tour.moved(0, -1) == tour
    assert tour.moved(4, 1) == tour
    assert tour.without(1).steps == (tour.steps[0], *tour.steps[2:])
    assert tour.with_text(2, "Count").steps[2].text == "Count"
    full = Tour(title="T", steps=(EntryStep(cell="band"),) * MOST_STEPS)
    with pytest.raises(TourError, match="at most"):
        full.with_step(EntryStep(cell="band"))


def test_a_step_never_shows_the_case_of_another_installation():
    analysis = SimpleNamespace(sha256=IMAGE + "0" * 48, cells=(white(), red()))
    case = SimpleNamespace(fields=[SimpleNamespace(analysis=analysis)])
    check_case(CaseStep(sample=1, field=1, image=IMAGE, cell=1), case)
    for wrong in ({"image": "f" * 16}, {"field": 2}):
        with pytest.raises(TourError, match="another installation"):
            check_case(CaseStep(**{"sample": 1, "field": 1, "image": IMAGE, **wrong}), case)
    for cell in (2, 3):
        with pytest.raises(TourError, match="does not have any more"):
            check_case(CaseStep(sample=1, field=1, image=IMAGE, cell=cell), case)


def test_a_step_never_shows_another_slide(tour):
    check_slide(tour.steps[-1], "1f-a0", 900, 600)
    for other in (("1f-a1", 900, 600), ("1f-a0", 400, 600)):
        with pytest.raises(TourError, match="another installation"):
            check_slide(tour.steps[-1], *other)
