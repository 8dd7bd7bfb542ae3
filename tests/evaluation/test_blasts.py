"""Blasts told from other cells, counted by hand."""

import numpy as np
import pytest

from core.evaluation.blasts import LEAST_CELLS, blast_figures, leukaemic_patients
from core.evaluation.schema import PatientShare


def test_figures_of_a_few_cells():
    rows = [
        ("blast", "blast", "classified", 0.9),
        ("blast", "blast", "uncertain", 0.5),
        ("blast", "monocyte", "classified", 0.02),
        ("blast", "monocyte", "uncertain", 0.3),
        ("monocyte", "monocyte", "classified", 0.01),
        ("lymphocyte", "blast", "classified", 0.8),
        ("smudge_cell", "smudge_cell", "out_of_scope", 0.0),
        ("smudge_cell", "lymphocyte", "classified", 0.0),
    ]
    truth, named, statuses, blast = zip(*rows, strict=True)
    found = blast_figures(truth, named, statuses, np.array(blast), ["p"] * len(rows))
    assert (found.n, found.blasts) == (6, 4)
    assert found.possible.value == 0.5
    assert found.certain_healthy.value == 0.25
    assert found.others_possible.value == 0.5
    assert found.smudge_excluded.value == 0.5
    assert found.auroc == pytest.approx(5 / 8)
    assert found.patients == []
    assert found.median_share_error is None


def test_a_patients_share_is_of_the_leukocytes_and_uncertain_cells_count_as_likeliest():
    count = 2 * LEAST_CELLS
    truth = ["blast"] * 10 + ["neutrophil"] * (count - 10) + ["smudge_cell"] * 5
    named = ["blast"] * 8 + ["neutrophil"] * (count - 8) + ["smudge_cell"] * 5
    statuses = ["classified"] * 5 + ["uncertain"] * 5 + ["classified"] * (count - 10)
    statuses += ["out_of_scope"] * 3 + ["uncertain"] * 2
    found = blast_figures(truth, named, statuses, np.zeros(count + 5), ["a"] * (count + 5))
    (patient,) = found.patients
    assert (patient.cells, patient.uncertain) == (count, 5)
    assert patient.true == 10 / count
    assert patient.predicted == 8 / count
    assert found.median_share_error == pytest.approx(abs(patient.predicted - patient.true))


def test_a_patient_is_leukaemic_from_a_fifth_of_blasts():
    shares = [(0.2, 0.25), (0.6, 0.19), (0.19, 0.2), (0.0, 0.1), (0.1, 0.0)]
    patients = [
        PatientShare(patient=str(k), cells=100, uncertain=0, true=true, predicted=predicted)
        for k, (true, predicted) in enumerate(shares)
    ]
    found, false_alarms = leukaemic_patients(patients)
    assert (found.value, false_alarms.value) == (1 / 2, 1 / 3)
    assert leukaemic_patients(patients[:2])[1] is None
