"""Cells as reviewers name them."""

import pytest

from core.domain.boxes import Box
from core.domain.results import Cell
from core.domain.taxonomy import NOT_A_WHITE_CELL


def _white() -> Cell:
    return Cell(
        kind="wbc",
        box=Box(1, 2, 30, 30),
        confidence=0.4,
        status="uncertain",
        type="monocyte",
        probabilities={"monocyte": 0.4, "lymphocyte": 0.35},
    )


def test_a_reviewers_label_counts_and_the_suggestion_is_kept() -> None:
    first = _white().reviewed("lymphocyte", "ana")
    assert (first.type, first.status, first.suggested) == ("lymphocyte", "classified", "monocyte")
    second = first.reviewed("blast", "ben")
    assert (second.type, second.suggested, second.reviewer) == (
        "blast",
        "monocyte",
        "ben",
    )


def test_what_is_no_white_cell_leaves_the_counts() -> None:
    cell = _white().reviewed(NOT_A_WHITE_CELL, "ana")
    assert (cell.status, cell.type) == ("out_of_scope", "monocyte")
    again = cell.reviewed("monocyte", "ana")
    assert (again.status, again.suggested) == ("classified", "monocyte")


def test_only_white_cells_and_known_labels_are_reviewed() -> None:
    with pytest.raises(ValueError, match="no cell type"):
        _white().reviewed("lymphoma", "ana")
    with pytest.raises(ValueError, match="only white cells"):
        Cell("rbc", Box(0, 0, 5, 5), 0.9).reviewed("monocyte", "ana")
