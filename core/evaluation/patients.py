"""What a classifier counts in each patient, beside the truth."""

from collections.abc import Sequence

import pandas as pd

from core.domain.taxonomy import LEUKOCYTES
from core.evaluation.metrics import proportion
from core.evaluation.report import UNCERTAIN


def patient_distributions(cells: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Return the cells of every patient by label, in truth and as counted.

    `cells` are those of `ClassifierReport.counted`. Columns: patient, side (`true`, `predicted`),
    label, cells, percent (of the patient's cells). Patients with the most blasts come first.
    """
    known = cells.dropna(subset="patient")
    sides = known.melt(["patient"], ["truth", "counted"], var_name="side", value_name="label")
    counts = (
        sides.replace({"side": {"truth": "true", "counted": "predicted"}})
        .groupby(["patient", "side", "label"])
        .size()
        .rename("cells")
        .reset_index()
    )
    total = counts.groupby(["patient", "side"])["cells"].transform("sum")
    counts["percent"] = 100 * counts["cells"] / total
    share = known["truth"].eq("blast").groupby(known["patient"]).mean()
    order = list(share.sort_values(ascending=False, kind="stable").index)
    columns = [*labels, UNCERTAIN]
    return counts.sort_values(
        ["patient", "side", "label"],
        key=lambda c: c.map(
            {"patient": order, "side": ["true", "predicted"], "label": columns}[str(c.name)].index
        ),
        ignore_index=True,
    )


def patient_errors(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row a patient, most errors first.

    Columns: patient, cells, uncertain, wrong (counted as another type), error with low and high
    (wrong of the counted, fractions of 1 with Wilson limits), blasts_true and blasts_predicted
    (fractions of the white cells, the latter of the counted ones).
    """
    rows = []
    for patient, own in cells.dropna(subset="patient").groupby("patient"):
        counted = own[own["counted"] != UNCERTAIN]
        wrong = int((counted["counted"] != counted["truth"]).sum())
        error = proportion(wrong, len(counted))
        white = own[own["truth"].isin(LEUKOCYTES)]
        named = white[white["counted"].isin(LEUKOCYTES)]
        rows.append(
            {
                "patient": patient,
                "cells": len(own),
                "uncertain": len(own) - len(counted),
                "wrong": wrong,
                "error": error and error.value,
                "low": error and error.low,
                "high": error and error.high,
                "blasts_true": white["truth"].eq("blast").mean(),
                "blasts_predicted": named["counted"].eq("blast").mean(),
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values("error", ascending=False, kind="stable", ignore_index=True)
