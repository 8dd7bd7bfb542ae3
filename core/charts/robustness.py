"""What was measured beside the sets: shifts, unseen pictures, evidence, gate, adaptation."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.charts.metrics import HELPER_LINE, MAIN, SECOND
from core.evaluation.tables import percent

WANTED_DROP = 2.0
"""Points of accuracy that a shift may cost."""
_ROW_HEIGHT = 30


def shifts_table(shifts: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each synthetic shift: accuracy with 95 % limits, points lost, and shares.

    In percent: of the pictures that are called classified, of these the right ones; where the model
    tells, of those whose look is unfamiliar.
    """
    shares = {
        "Classified": "classified",
        "Of them right": "classified_right",
        "Unfamiliar look": "unfamiliar",
    }
    unchanged = {"shift": "Unchanged", "drop": 0.0, **shifts["unchanged"]}
    return pd.DataFrame(
        {
            "Shift": row["shift"],
            "Accuracy": percent(row["accuracy"]),
            "Points lost": round(100 * row["drop"], 1) + 0.0,
            **{name: 100 * row[key]["value"] for name, key in shares.items() if key in row},
        }
        for row in (unchanged, *shifts["rows"])
    )


def unfamiliar_table(unfamiliar: Mapping[str, Any], names: Mapping[str, str]) -> pd.DataFrame:
    """Return a row for each set: the share of its cells whose look is unfamiliar.

    `names` gives the sets the names that pages use.
    """
    return pd.DataFrame(
        {"Cells": names.get(key, key), "Unfamiliar look": percent(share)}
        for key, share in unfamiliar.items()
    )


def shifts_figure(shifts: Mapping[str, Any]) -> go.Figure:
    """Draw the points of accuracy that each shift costs, the worst on top."""
    rows = sorted(shifts["rows"], key=lambda row: float(row["drop"]))
    lost = [100 * row["drop"] for row in rows]
    figure = go.Figure(
        go.Bar(
            x=lost,
            y=[row["shift"] for row in rows],
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


def gate_table(gate: Mapping[str, Any], names: Mapping[str, str]) -> pd.DataFrame:
    """Return a row for each kind of picture: how many, share refused, AUROC against smears.

    `names` gives the sets of smears the names that pages use.
    """
    smears = gate["smears"]
    rows: list[dict[str, Any]] = [
        {
            "Pictures": "Smears of all sets",
            "n": f"{smears['n']:,}",
            "Refused": percent(smears["refused"]),
            "AUROC against smears": "",
        }
    ]
    rows += [
        {"Pictures": f"… {names.get(key, key)}", "n": "", "Refused": percent(own)}
        for key, own in smears["by_set"].items()
    ]
    rows += [
        {
            "Pictures": kind,
            "n": f"{own['n']:,}",
            "Refused": percent(own["refused"]),
            "AUROC against smears": f"{own['auroc']:.4f}",
        }
        for kind, own in gate["others"].items()
    ]
    return pd.DataFrame(rows).fillna("")


def adaptation_sentence(adaptation: Mapping[str, Any]) -> str:
    """Say what a site profile gained."""
    types = ", ".join(key.replace("_", " ") for key in adaptation["types"])
    calibration = ""
    if error := adaptation.get("ece"):
        calibration = (
            f" The expected calibration error is {100 * error['after']:.1f} %, "
            f"{100 * error['before']:.1f} % before."
        )
    return (
        f"Shown {adaptation['cells_a_type']} reviewed cells of each of {types} (CellaVision), the "
        f"classifier names {percent(adaptation['after'])} of the other cells right, "
        f"{percent(adaptation['before'])} before. Mean of {adaptation['draws']} random draws; "
        f"profiles refused because they did not help: {adaptation['refused']}.{calibration}"
    )


def unseen_table(unseen: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each kind of pictures that are unlike the detector's training."""
    fields, nuclei = unseen["kaggle_test_simple"], unseen["taleqani"]
    rows = [
        {
            "Pictures": "Kaggle fields, originals",
            "n": fields["n"],
            "What was measured": "A white cell found",
            "Share": percent(fields["found"]),
        },
        {
            "Pictures": "ALL fields (Taleqani)",
            "n": nuclei["n"],
            "What was measured": f"{nuclei['nuclei']:,} single nuclei found",
            "Share": percent(nuclei["recall"]),
        },
        {
            "Pictures": "ALL fields (Taleqani)",
            "n": nuclei["n"],
            "What was measured": "White-cell boxes with a nucleus",
            "Share": percent(nuclei["precision"]),
        },
    ]
    return pd.DataFrame(rows)


def made_fields_table(made: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each synthetic shift of made fields."""
    return pd.DataFrame(
        {
            "Shift": row["shift"],
            "White cells found": percent(row["recall"]),
            "Boxes on white cells": percent(row["precision"]),
            "RBC count error": f"{100 * row['rbc_count_error']:.1f} %",
        }
        for row in made["rows"]
    )


def evidence_sentence(evidence: Mapping[str, Any]) -> str:
    """Say how much of the ALL model's evidence lies on white cells."""
    ratio = evidence["evidence"] / evidence["area"]
    return (
        f"In {evidence['n']:,} fields, {100 * evidence['evidence']:.1f} % of the evidence lies "
        f"inside the white cells that the detector finds; they cover {100 * evidence['area']:.1f} "
        f"% of the picture. Evidence spread evenly would have a ratio of 1; here it is "
        f"{ratio:.2f}. A map has 7 × 7 places, wider than a cell."
    )
