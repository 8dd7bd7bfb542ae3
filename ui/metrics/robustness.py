"""The metrics page's part on what was measured beside the sets."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.charts.robustness import (
    WANTED_DROP,
    adaptation_sentence,
    evidence_sentence,
    gate_table,
    made_fields_table,
    shifts_figure,
    shifts_table,
    unfamiliar_table,
    unseen_table,
)
from core.evaluation.report import ModelReport
from core.evaluation.sets import evaluation_set
from core.model_card import ModelCard
from ui.components import shared
from ui.metrics.parts import chart

SMEAR_SETS = {
    "cellavision": "CellaVision cells, never trained on",
    "kaggle": "Kaggle fields",
    "bccd": "BCCD test",
    "txl": "TXL-PBC test",
    "pbc": "PBC test",
    "taleqani": "Taleqani fields",
}


def show_unfamiliar(unfamiliar: Mapping[str, Any], card: ModelCard) -> None:
    """Show how often the classifier tells that a cell comes from elsewhere."""
    st.subheader("Does it notice another laboratory?")
    st.caption(
        "Colours and sharpness of a cell's picture are compared with those of the training "
        f"pictures. Where they are unlike, logits are divided by {card.temperature_away:.2f} in "
        f"place of {card.temperature:.2f}: what suited a laboratory that a network had not seen, "
        "each training laboratory left out in turn. Confidence falls, and more cells are held out."
    )
    shared.data_table(
        unfamiliar_table(unfamiliar, {key: evaluation_set(key).name for key in unfamiliar}),
        width=520,
        alt="Share of cells with an unfamiliar look by set",
    )


def show_robustness(report: ModelReport) -> None:
    """Show what was measured beside the sets, whichever the model has."""
    metrics = report.metrics
    if not metrics.keys() & {"unseen", "shifts", "adaptation", "evidence", "gate"}:
        st.info("For this model only the sets were measured.", icon=":material/hourglass_empty:")
    if "unseen" in metrics:
        show_unseen(metrics["unseen"])
    if "shifts" in metrics:
        shifts = metrics["shifts"]
        st.subheader("Under another stain, camera or optic")
        st.caption(
            f"{shifts['n']} pictures of the set {evaluation_set(shifts['set']).name}, changed in "
            "one way at a time, the same in every run. "
            f"The line marks {WANTED_DROP:.0f} points, the most a change should cost."
        )
        chart(
            shifts_figure(shifts),
            "metrics_shifts",
            "Points of accuracy lost under each synthetic shift",
        )
        number = st.column_config.NumberColumn
        shared.data_table(
            shifts_table(shifts),
            height="content",
            column_config={
                "Shift": st.column_config.TextColumn(pinned=True),
                "Points lost": number(format="%.1f"),
                "Classified": number("Classified, %", format="%.1f"),
                "Of them right": number("Of them right, %", format="%.1f"),
                "Unfamiliar look": number("Unfamiliar look, %", format="%.1f"),
            },
            alt="Accuracy, shares classified, right and unfamiliar under each synthetic shift",
        )
    # A classifier may come without the looks of its training cells: then it tells nothing.
    if "unfamiliar" in metrics and report.card.temperature_away is not None:
        show_unfamiliar(metrics["unfamiliar"], report.card)
    if "adaptation" in metrics:
        st.subheader("After adapting to a site")
        st.markdown(adaptation_sentence(metrics["adaptation"]))
    if "evidence" in metrics:
        st.subheader("Does the evidence lie on cells?")
        st.markdown(evidence_sentence(metrics["evidence"]))
    if "gate" in metrics:
        gate = metrics["gate"]
        st.subheader("The input gate")
        st.caption(
            "Pictures that are no stained smear in focus are refused before any answer. "
            f"AUROC over all kinds: {gate['auroc']:.4f}. None of these pictures taught the gate."
        )
        shared.data_table(
            gate_table(gate, SMEAR_SETS),
            alt="Share of pictures refused by kind",
        )


def show_unseen(unseen: Mapping[str, Any]) -> None:
    """Show the detector on pictures unlike those of its training."""
    st.subheader("On pictures unlike the training's")
    st.caption(
        "Most of these have no boxes. Nuclei of ALL fields are taken from their colour: those that "
        "stand alone must lie in a found box, and a box must hold nuclear colour."
    )
    shared.data_table(
        unseen_table(unseen),
        alt="White cells found in pictures unlike those of training",
    )
    st.caption(
        f"{unseen['made']['n']} made fields, drawn for measuring, changed in one way at a time. "
        "RBC count error: median over the fields."
    )
    shared.data_table(
        made_fields_table(unseen["made"]),
        alt="White cells found in made fields under each synthetic shift",
    )
