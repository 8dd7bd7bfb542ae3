"""Model metrics: blasts, and what is counted in each patient."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts.metrics import (
    bland_altman_figure,
    limits_of_agreement,
    patient_distributions_figure,
    patient_errors_figure,
    patient_shares_figure,
)
from core.evaluation.patients import patient_distributions, patient_errors
from core.evaluation.report import ClassifierReport
from core.evaluation.schema import BlastFigures
from core.evaluation.tables import blast_table
from ui.metrics.parts import chart, provenance

LEAST_PATIENTS = 3
"""Fewer have no distribution worth a chart."""


def show_blasts(report: ClassifierReport, key: str) -> None:
    """Show how well blasts are separated from other cells, cell by cell and by patient."""
    figures = report.metrics.blasts[key]
    st.header("Blasts and smudge cells")
    st.table(
        blast_table(figures),
        border="horizontal",
        hide_index=True,
        alt="Figures of blasts and smudge cells",
    )
    if len(figures.patients) >= LEAST_PATIENTS:
        show_shares(figures, provenance(report, key))


def show_shares(figures: BlastFigures, source: str, key: str = "set") -> None:
    """Show the share of blasts of every patient beside the true one; `key` names the charts."""
    st.header("Share of blasts by patient")
    bias, reach = limits_of_agreement(figures.patients)
    median = figures.median_share_error or 0.0
    st.caption(
        f"{len(figures.patients)} patients with 20 white cells or more. Median error "
        f"{100 * median:.1f} percentage points; mean {bias:+.1f}, 95 % limits of agreement "
        f"{bias - reach:+.1f} to {bias + reach:+.1f} (dashed). The predicted share is that of the "
        "leukocytes, uncertain cells by their most probable type."
    )
    data = pd.DataFrame([one.model_dump() for one in figures.patients])
    with st.grid(2, min_column_width=320, gap="large"):
        chart(
            patient_shares_figure(figures.patients),
            f"metrics_patient_shares_{key}",
            "Predicted over true share of blasts, one point a patient",
            source,
            data=data,
        )
        chart(
            bland_altman_figure(figures.patients),
            f"metrics_bland_altman_{key}",
            "Error of the share of blasts over its size, with 95 % limits of agreement",
            source,
            data=data,
        )


def show_patients(cells: pd.DataFrame, labels: Sequence[str], source: str, key: str) -> None:
    """Show the cells and the errors of every patient.

    `cells` are those of `ClassifierReport.counted`; `key` names the charts. Shows nothing of fewer
    than `LEAST_PATIENTS`.
    """
    if cells["patient"].nunique() < LEAST_PATIENTS:
        return
    counts = patient_distributions(cells, labels)
    st.header("Every patient")
    st.caption(
        f"{counts['patient'].nunique()} patients, most blasts on top: cells by type in truth and "
        "as the app counts them. Types that the set labels too badly are left out."
    )
    chart(
        patient_distributions_figure(counts),
        f"metrics_patient_distributions_{key}",
        "True and predicted types of the cells of every patient",
        source,
        data=counts,
    )
    errors = patient_errors(cells)
    st.caption(
        "Of the cells that count, those counted as another type, with 95 % intervals; uncertain "
        "cells are left out."
    )
    chart(
        patient_errors_figure(errors),
        f"metrics_patient_errors_{key}",
        "Cells counted as another type by patient",
        source,
        data=errors,
    )
