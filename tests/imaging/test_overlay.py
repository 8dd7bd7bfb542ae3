"""Drawings show what the analysis says and nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, ImageProperties
from core.domain.taxonomy import CELL_TYPES, KIND_COLOURS, UNDETERMINED_COLOUR
from core.imaging.overlay import cam_overlay, draw_overlay

GREY = np.full((480, 640, 3), 200, np.uint8)


def analysis_of(*cells, size=(640, 480)):
    properties = ImageProperties("PNG", "RGB", 8, 1000)
    return FieldAnalysis("a.png", "0" * 64, *size, properties, cells)


def white(box=(200, 150, 100, 120), status="classified", cell_type="eosinophil"):
    return Cell("wbc", Box(*box), 0.9, status, cell_type)


def share_of(colour, drawn, rows, columns):
    """Share of pixels of an edge that have a colour."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(drawn[rows, columns].astype(int) - rgb).max(axis=-1) < 40).mean()


def test_the_image_handed_in_is_left_alone():
    picture = GREY.copy()
    draw_overlay(picture, analysis_of(white()))
    np.testing.assert_array_equal(picture, GREY)


def test_colour_tells_the_type_and_line_the_status():
    bottom = 150 + 120
    lines = {}
    for status in ("classified", "uncertain"):
        drawn = draw_overlay(GREY, analysis_of(white(status=status)))
        lines[status] = share_of(CELL_TYPES["eosinophil"].colour, drawn, bottom, slice(205, 295))
    assert lines["classified"] == 1
    assert 0.4 < lines["uncertain"] < 0.9

    drawn = draw_overlay(GREY, analysis_of(white(status="out_of_scope")))
    assert share_of(CELL_TYPES["eosinophil"].colour, drawn, bottom, slice(205, 295)) == 0
    assert 0.1 < share_of(UNDETERMINED_COLOUR, drawn, bottom, slice(205, 295)) < 0.7


def test_red_cells_and_platelets_have_their_own_colour():
    for kind in ("rbc", "platelet"):
        drawn = draw_overlay(GREY, analysis_of(Cell(kind, Box(200, 150, 80, 80), 0.9)))
        assert share_of(KIND_COLOURS[kind], drawn, 150, slice(205, 275)) == 1


def test_white_cells_carry_their_number_in_the_analysis():
    """The same plate is drawn for the second cell wherever the first one lies."""
    red = Cell("rbc", Box(500, 400, 60, 60), 0.9)
    plate = (slice(125, 149), slice(200, 230))
    first = draw_overlay(GREY, analysis_of(white(), red))
    second = draw_overlay(GREY, analysis_of(red, white()))
    assert not np.array_equal(first[plate], GREY[plate])
    assert not np.array_equal(first[plate], second[plate])


@given(
    st.tuples(st.integers(48, 900), st.integers(48, 900)),
    st.tuples(st.floats(-50, 900), st.floats(-50, 900)),
    st.floats(0.5, 500),
    st.sampled_from(["classified", "uncertain", "out_of_scope"]),
)
def test_any_box_can_be_drawn_on_any_image(shape, corner, side, status):
    picture = np.full((*shape, 3), 200, np.uint8)
    drawn = draw_overlay(picture, analysis_of(white((*corner, side, side), status)))
    assert drawn.shape == picture.shape
    assert not np.array_equal(drawn, picture)  # the number at least stays inside


def test_evidence_shows_only_where_it_is_and_with_the_given_strength():
    evidence = np.zeros((3, 4), np.float32)
    evidence[1, 3] = 1
    weak, strong = (cam_overlay(GREY, evidence, s) for s in (0.2, 0.8))
    np.testing.assert_array_equal(strong[:, :100], GREY[:, :100])
    change = [np.abs(m[240, 600].astype(int) - GREY[240, 600]).max() for m in (weak, strong)]
    assert 0 < change[0] < change[1]
    np.testing.assert_array_equal(cam_overlay(GREY, evidence, 0), GREY)


def test_undefined_evidence_is_no_evidence():
    evidence = np.full((7, 7), np.nan, np.float32)
    np.testing.assert_array_equal(cam_overlay(GREY, evidence), GREY)
