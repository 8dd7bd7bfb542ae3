"""Model metrics: robustness, measured in addition to the data sets."""

from collections.abc import Sequence

import streamlit as st

from core.charts.robustness import WANTED_DROP, corruptions_figure
from core.evaluation.report import ClassifierReport, DetectorReport
from core.evaluation.schema import (
    CorruptionFigures,
    QualityControlFigures,
    UnevenLightFigures,
    UnseenFigures,
)
from core.evaluation.sets import evaluation_set
from core.evaluation.tables import (
    adaptation_sentence,
    cam_sentence,
    corruptions_table,
    ood_table,
    quality_control_table,
    synthetic_fields_table,
    uneven_light_table,
    unseen_table,
)
from ui.components import shared
from ui.metrics.parts import chart, provenance

SMEAR_SETS = {
    "cellavision": "CellaVision cells, never trained on",
    "kaggle": "Kaggle fields",
    "bccd": "BCCD test",
    "txl": "TXL-PBC test",
    "pbc": "PBC test",
    "taleqani": "Taleqani fields",
}


def show_robustness(report: ClassifierReport | DetectorReport) -> None:
    """Show what was measured beside the sets, whichever the model has."""
    if isinstance(report, DetectorReport):
        if report.metrics.unseen is None:
            show_sets_only()
        else:
            show_unseen(report.metrics.unseen)
        show_uneven_light(report.metrics.uneven_light)
        return
    metrics = report.metrics
    if not (metrics.corruptions or metrics.adaptation or metrics.cam or metrics.quality_control):
        show_sets_only()
    if metrics.corruptions:
        show_corruptions(metrics.corruptions, provenance(report, metrics.corruptions.set))
    # A classifier may come without the appearance of its training cells: then it cannot tell.
    if metrics.out_of_distribution and report.card.ood_temperature is not None:
        show_out_of_distribution(report, report.card.ood_temperature)
    if metrics.adaptation:
        st.header("After adapting to a site")
        st.markdown(adaptation_sentence(metrics.adaptation))
    if metrics.cam:
        st.header("Do class activation maps lie on cells?")
        st.markdown(cam_sentence(metrics.cam))
    if metrics.quality_control:
        show_quality_control(metrics.quality_control)


def show_sets_only() -> None:
    """Say that nothing was measured beside the sets."""
    st.info("For this model only the sets were measured.", icon=":material/hourglass_empty:")


def show_corruptions(measured: CorruptionFigures, source: str) -> None:
    """Show what each corruption costs."""
    st.header("Under another stain, camera or optic")
    st.caption(
        f"{measured.n} images of the set {evaluation_set(measured.set).name}, changed in one way "
        f"at a time, the same in every run. The line marks {WANTED_DROP:.0f} points, the most a "
        "change should cost."
    )
    chart(
        corruptions_figure(measured),
        "metrics_corruptions",
        "Points of accuracy lost under each corruption",
        source,
    )
    number = st.column_config.NumberColumn
    shared.data_table(
        corruptions_table(measured),
        height="content",
        column_config={
            "Corruption": st.column_config.TextColumn(pinned=True),
            "Points lost": number(format="%.1f"),
            "Classified": number("Classified, %", format="%.1f"),
            "Of them right": number("Of them right, %", format="%.1f"),
            "Out of distribution": number("Out of distribution, %", format="%.1f"),
        },
        alt="Accuracy and percent classified, right, out of distribution under each corruption",
    )


def show_out_of_distribution(report: ClassifierReport, ood_temperature: float) -> None:
    """Show how often the classifier finds a cell unlike its training images."""
    measured = report.metrics.out_of_distribution
    st.header("Does it notice another source?")
    st.caption(
        "Colours and sharpness of a cell's image are compared with those of the training images. "
        f"Where they are unlike, logits are divided by {ood_temperature:.2f} in place of "
        f"{report.card.temperature:.2f}: the temperature that suits sources left out of training. "
        "Confidence falls, and more cells need review."
    )
    shared.data_table(
        ood_table(measured, {key: evaluation_set(key).name for key in measured}),
        width=520,
        alt="Percent of cells out of distribution by set",
    )


def show_quality_control(measured: QualityControlFigures) -> None:
    """Show which images quality control rejects."""
    st.header("Quality control")
    st.caption(
        "Images that are no stained smear in focus are rejected before any prediction. "
        f"AUROC over all kinds: {measured.auroc:.4f}. None of these images was trained on."
    )
    shared.data_table(
        quality_control_table(measured, SMEAR_SETS),
        alt="Percent of images rejected by kind",
    )


def show_unseen(unseen: UnseenFigures) -> None:
    """Show the detector on images unlike those of its training."""
    st.header("On images unlike the training's")
    st.caption(
        "Most of these have no boxes. Nuclei of ALL fields are found by their colour: single ones "
        "must lie in a found box, and a box must hold nuclear colour. Fields at low magnification "
        "and composed clumps are validation images with boxes."
    )
    shared.data_table(
        unseen_table(unseen),
        alt="White cells found in images unlike those of training",
    )
    st.caption(
        f"{unseen.synthetic.n} synthetic fields, made for measuring, changed in one way at a time. "
        "RBC count error: median over the fields."
    )
    shared.data_table(
        synthetic_fields_table(unseen.synthetic),
        alt="White cells found in synthetic fields under each corruption",
        height="content",
    )


def show_uneven_light(rows: Sequence[UnevenLightFigures]) -> None:
    """Show how many white cells are still found under uneven light."""
    st.header("Under uneven light")
    if not rows:
        st.info(
            "Not measured for this version. `python -m core evaluate detector` measures it.",
            icon=":material/hourglass_empty:",
        )
        return
    shared.data_table(
        uneven_light_table(rows),
        alt="White cells found under uneven light, by set and light",
        height="content",
    )
    st.caption(
        "Light corrected first, as in the app. Boxes matched at IoU .5. The light is computed, not "
        "photographed."
    )
