import pandas as pd
import pytest

from core.domain.taxonomy import CELL_TYPES
from core.evaluation.patients import patient_distributions, patient_errors

CELLS = pd.DataFrame(
    [
        ("P1", "blast", "blast"),
        ("P1", "blast", "monocyte"),
        ("P1", "lymphocyte", "lymphocyte"),
        ("P1", "lymphocyte", "uncertain"),
        ("P2", "blast", "blast"),
        ("P2", "smudge_cell", "smudge_cell"),
        (None, "blast", "monocyte"),
    ],
    columns=["patient", "truth", "counted"],
)


def test_each_side_of_a_patient_adds_up_and_most_blasts_come_first():
    counts = patient_distributions(CELLS, list(CELL_TYPES))
    assert counts["cells"].sum() == 12
    assert counts.groupby(["patient", "side"])["percent"].sum().tolist() == [100] * 4
    predicted = counts[(counts["patient"] == "P1") & (counts["side"] == "predicted")]
    assert predicted["label"].tolist() == ["lymphocyte", "monocyte", "blast", "uncertain"]


def test_errors_are_of_the_cells_that_count():
    errors = patient_errors(CELLS).set_index("patient")
    assert errors.index.tolist() == ["P1", "P2"]
    assert errors.loc["P1", ["cells", "uncertain", "wrong"]].tolist() == [4, 1, 1]
    assert errors.loc["P1", "error"] == pytest.approx(1 / 3)
    assert errors.loc["P1", ["blasts_true", "blasts_predicted"]].tolist() == pytest.approx(
        [1 / 2, 1 / 3]
    )
    assert errors.loc["P2", "blasts_true"] == 1
