"""The metrics page's tab on comparisons: small trainings, and floats beside 8-bit integers."""

from collections.abc import Mapping

import streamlit as st

from core.charts.robustness import sources_figure
from core.errors import ModelError
from core.evaluation.comparisons import (
    ArchitectureRow,
    Comparisons,
    FieldsRow,
    PrecisionRow,
    Row,
    SourcesRow,
    load_comparisons,
)
from core.evaluation.tables import (
    architectures_table,
    difference_table,
    fields_table,
    precisions_table,
    recipe_table,
    run_titles,
    sources_table,
)
from core.model_card import ModelName
from ui.components import shared
from ui.metrics.parts import chart

SHIPPED = ("architectures", "mobilenetv2")
"""The training of the network that ships, on the small protocol."""


def show_comparisons(name: ModelName) -> None:
    """Show what was compared, whichever the model has."""
    try:
        comparisons = load_comparisons(name)
    except ModelError as error:
        st.subheader("Comparisons")
        st.info(str(error), icon=":material/hourglass_empty:")
        return
    if comparisons == Comparisons():
        st.info("This model was not compared with others.", icon=":material/hourglass_empty:")
    if comparisons.precisions:
        show_precisions(comparisons.precisions)
    if comparisons.architectures:
        show_architectures(comparisons.architectures)
    if comparisons.recipe:
        show_recipes(comparisons.recipe)
    if comparisons.sources:
        show_sources(comparisons.sources)
    if comparisons.fields:
        show_fields(comparisons.fields)
    if len(titles := run_titles(comparisons)) > 1:
        show_two_runs(comparisons, titles)


def protocols(rows: Mapping[str, Row]) -> str:
    """Say on what protocols the rows were trained; where starts differ, the table names them."""
    texts = dict.fromkeys(
        row.protocol.replace(f"{row.start} start, ", "")
        if isinstance(row, ArchitectureRow)
        else row.protocol
        for row in rows.values()
    )
    return (
        "A small protocol, the same for each: "
        + "; ".join(texts)
        + ". None of these networks is shipped."
    )


def show_precisions(rows: Mapping[str, PrecisionRow]) -> None:
    """Show what the shipped weights lose and gain in 8 bits."""
    st.subheader("Floats and 8-bit integers")
    shared.data_table(
        precisions_table(rows),
        column_config={
            "Precision": st.column_config.TextColumn(pinned=True),
            "ms": st.column_config.NumberColumn(format="%.2f"),
            "Time": st.column_config.NumberColumn(format="%.2f ×"),
            "File, MB": st.column_config.NumberColumn(format="%.1f"),
        },
        alt="Accuracy, time and size of the network in floats and in 8-bit integers",
    )
    st.caption(
        "The same weights; temperature and thresholds chosen for each. Milliseconds: processor "
        "time of one forward pass on one thread, median. Time: its ratio to that of the floats."
    )
    if "taleqani" in rows["float32"].sets:
        st.caption(
            "Every tenth ALL field was graded with both. The shipped head was trained on all of "
            "them, so their agreement is shown and not their accuracy."
        )


def show_architectures(rows: Mapping[str, ArchitectureRow]) -> None:
    """Show the networks beside each other."""
    st.subheader("Other networks")
    shared.data_table(
        architectures_table(rows),
        column_config={
            "Network": st.column_config.TextColumn(pinned=True),
            "Weights, M": st.column_config.NumberColumn(format="%.2f"),
            "File, MB": st.column_config.NumberColumn(format="%.1f"),
            "ms": st.column_config.NumberColumn(format="%.1f"),
            "Training, min": st.column_config.NumberColumn(format="%.1f"),
        },
        alt="Accuracy, size and speed of each network",
    )
    st.caption(
        f"{protocols(rows)} A network that starts from random weights needs more than that: "
        "compare those with each other. Milliseconds: LiteRT, median of one image at a time."
    )


def show_sources(rows: Mapping[str, SourcesRow]) -> None:
    """Show what leaving a source out costs."""
    st.subheader("A source left out")
    chart(
        sources_figure(rows),
        "metrics_sources",
        "Accuracy on each source, with and without training on it",
    )
    # Before the table, whose tool bar would cover the names of the sources on a phone.
    st.caption(
        f"Star and hatching: never trained on. Mature types; Kaggle has four. {protocols(rows)}"
    )
    shared.data_table(
        sources_table(rows),
        alt="Accuracy and calibration error on each source by what was trained on",
    )


def show_recipes(rows: Mapping[str, SourcesRow]) -> None:
    """Show what each component of the training's recipe is worth."""
    st.subheader("A component of the recipe left out")
    shared.data_table(
        recipe_table(rows),
        column_config={"Recipe": st.column_config.TextColumn(pinned=True)},
        alt="Accuracy and calibration error on each source by what the recipe lacked",
    )
    st.caption(
        "Trained on PBC and Kaggle; CellaVision was never trained on. Read differences against "
        f"the limits. {protocols(rows)}"
    )


def show_fields(rows: Mapping[str, FieldsRow]) -> None:
    """Show what leaving some of the fields out costs the detector."""
    st.subheader("Fields left out")
    shared.data_table(
        fields_table(rows),
        alt="Average precision and recall on each kind of fields by what was left out",
    )
    st.caption(f"mAP50, then recall of white cells. Star: never trained on. {protocols(rows)}")


@st.fragment
def show_two_runs(comparisons: Comparisons, titles: Mapping[tuple[str, str], str]) -> None:
    """Show two trainings side by side with their differences; the shipped network first."""
    st.subheader("Two runs side by side")
    runs = sorted(titles, key=lambda run: run != SHIPPED)
    columns = st.columns(2)
    chosen = [
        column.selectbox(
            label, runs, index=index, format_func=titles.__getitem__, key=f"metrics_run_{index}"
        )
        for index, (column, label) in enumerate(zip(columns, ("First", "Second"), strict=True))
    ]
    first, second = (comparisons.runs[run].sets for run in chosen)
    st.caption(
        "Difference: second less first, in points. Networks that tell eight types have a harder "
        "task than those that tell five: compare like with like."
    )
    shared.data_table(
        difference_table(first, second),
        alt="Figures of two trainings and their differences",
    )
