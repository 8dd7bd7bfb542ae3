"""What was measured beside the sets: corruptions, unseen images, quality control, adaptation."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.charts.metrics import HELPER_LINE, MAIN, SECOND
from core.domain.intervals import Estimate
from core.evaluation.schema import (
    AdaptationFigures,
    CamFigures,
    CorruptedFigures,
    CorruptionFigures,
    QualityControlFigures,
    SyntheticFields,
    UnseenFigures,
)
from core.evaluation.tables import percent, percent_or_none

WANTED_DROP = 2.0
"""Points of accuracy that a corruption may cost."""
_ROW_HEIGHT = 30


def corruptions_table(measured: CorruptionFigures) -> pd.DataFrame:
    """Return a row for each corruption: accuracy with 95 % limits, points lost, and percentages.

    Percentages: images that are classified, those of them that are right and, where the model
    tells, those out of distribution.
    """

    def row(name: str, lost: float, own: CorruptedFigures) -> dict[str, Any]:
        shares = {
            "Classified": own.classified,
            "Of them right": own.classified_right,
            "Out of distribution": own.out_of_distribution,
        }
        return {
            "Corruption": name,
            "Accuracy": percent(own.accuracy),
            "Points lost": round(100 * lost, 1) + 0.0,
            **{title: 100 * share.value for title, share in shares.items() if share},
        }

    return pd.DataFrame(
        [
            row("Unchanged", 0.0, measured.unchanged),
            *(row(own.corruption, own.drop, own) for own in measured.rows),
        ]
    )


def ood_table(
    out_of_distribution: Mapping[str, Estimate | None], names: Mapping[str, str]
) -> pd.DataFrame:
    """Return a row for each set: the proportion of its cells that is out of distribution.

    `names` gives the sets the names that pages use.
    """
    return pd.DataFrame(
        {"Cells": names.get(key, key), "Out of distribution": percent(share)}
        for key, share in out_of_distribution.items()
    )


def corruptions_figure(measured: CorruptionFigures) -> go.Figure:
    """Draw the points of accuracy that each corruption costs, the worst on top."""
    rows = sorted(measured.rows, key=lambda row: row.drop)
    lost = [100 * row.drop for row in rows]
    figure = go.Figure(
        go.Bar(
            x=lost,
            y=[row.corruption for row in rows],
            orientation="h",
            marker_color=[SECOND if value > WANTED_DROP else MAIN for value in lost],
            text=[f"{value:.1f}" for value in lost],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1f} points lost<extra></extra>",
        )
    )
    figure.add_vline(x=WANTED_DROP, line=HELPER_LINE)
    figure.update_layout(
        height=90 + _ROW_HEIGHT * len(rows),
        margin={"l": 10, "r": 40, "t": 10, "b": 40},
        showlegend=False,
    )
    least, most = min(0.0, *lost), max(3.0, *lost)
    room = 0.18 * (most - least)  # for the numbers, on a phone too
    figure.update_xaxes(title="Accuracy lost, points", range=[least - room, most + room])
    figure.update_yaxes(automargin=True)
    return figure


def quality_control_table(
    measured: QualityControlFigures, names: Mapping[str, str]
) -> pd.DataFrame:
    """Return a row for each kind of image: how many, percent rejected, AUROC against smears.

    `names` gives the sets of smears the names that pages use.
    """

    def row(images: str, n: str, rejected: Estimate | None, auroc: str = "") -> dict[str, str]:
        return {
            "Images": images,
            "n": n,
            "Rejected": percent(rejected),
            "AUROC against smears": auroc,
        }

    smears = measured.smears
    return pd.DataFrame(
        [
            row("Smears of all sets", f"{smears.n:,}", smears.rejected),
            *(row(f"… {names.get(key, key)}", "", own) for key, own in smears.by_set.items()),
            *(
                row(kind, f"{own.n:,}", own.rejected, f"{own.auroc:.4f}")
                for kind, own in measured.others.items()
            ),
        ]
    )


def adaptation_sentence(adaptation: AdaptationFigures) -> str:
    """Say what a site profile gained."""
    types = ", ".join(key.replace("_", " ") for key in adaptation.types)
    calibration = ""
    if error := adaptation.ece:
        calibration = (
            f" The expected calibration error is {100 * error.after:.1f} %, "
            f"{100 * error.before:.1f} % before."
        )
    return (
        f"With {adaptation.cells_a_type} reviewed CellaVision cells of each of {types}, the "
        f"classifier names {percent(adaptation.after)} of the other cells right, "
        f"{percent(adaptation.before)} before. Mean of {adaptation.draws} random draws; "
        f"profiles rejected because they did not help: {adaptation.rejected}.{calibration}"
    )


def unseen_table(unseen: UnseenFigures) -> pd.DataFrame:
    """Return a row for each kind of images that are unlike the detector's training."""
    fields, nuclei = unseen.kaggle_test_simple, unseen.taleqani
    rows = (
        ("Kaggle fields, originals", fields.n, "A white cell found", fields.found),
        ("ALL fields (Taleqani)", nuclei.n, f"{nuclei.nuclei:,} nuclei found", nuclei.recall),
        ("ALL fields (Taleqani)", nuclei.n, "Boxes with a nucleus", nuclei.precision),
    )
    return pd.DataFrame(
        {"Images": images, "n": n, "Measured": what, "Result": percent(share)}
        for images, n, what, share in rows
    )


def synthetic_fields_table(synthetic: SyntheticFields) -> pd.DataFrame:
    """Return a row for each corruption of synthetic fields."""
    return pd.DataFrame(
        {
            "Corruption": row.corruption,
            "White cells found": percent(row.recall),
            "Boxes on white cells": percent(row.precision),
            "RBC count error": percent_or_none(row.rbc_count_error),
        }
        for row in synthetic.rows
    )


def cam_sentence(cam: CamFigures) -> str:
    """Say how much of the ALL model's class activation maps lies on white cells."""
    return (
        f"In {cam.n:,} fields, {100 * cam.inside:.1f} % of the class activation map lies inside "
        f"the white cells that the detector finds; they cover {100 * cam.area:.1f} % of the image. "
        f"A map spread evenly would have a ratio of 1; here it is {cam.inside / cam.area:.2f}. A "
        "map has 7 × 7 positions, wider than a cell."
    )
