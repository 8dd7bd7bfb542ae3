"""The metrics page's part on comparisons: small trainings, and floats beside 8-bit integers."""

from collections.abc import Mapping

import streamlit as st

from core.charts.comparisons import (
    Rows,
    architectures_table,
    difference_table,
    laboratories_figure,
    laboratories_table,
    load_comparisons,
    numbers_table,
    parts_table,
    recipe_table,
    run_titles,
)
from core.errors import ModelError
from core.model_card import ModelName
from ui.components import shared
from ui.metrics.parts import chart

SHIPPED = ("architectures", "mobilenetv2")
"""The run of the network that ships, on the small protocol."""


def show_comparisons(name: ModelName) -> None:
    """Show what was compared, whichever the model has."""
    try:
        sections = load_comparisons(name)
    except ModelError as error:
        st.subheader("Comparisons")
        st.info(str(error), icon=":material/hourglass_empty:")
        return
    if not sections:
        st.info("This model was not compared with others.", icon=":material/hourglass_empty:")
    if rows := sections.get("numbers"):
        show_numbers(rows)
    if rows := sections.get("architectures"):
        show_architectures(rows)
    if rows := sections.get("recipe"):
        show_recipes(rows)
    if rows := sections.get("domains"):
        show_laboratories(rows)
    if rows := sections.get("parts"):
        show_parts(rows)
    if len(titles := run_titles(sections)) > 1:
        show_two_runs(sections, titles)


def protocols(rows: Rows) -> str:
    """Say on what protocols the rows were trained; where starts differ, the table names them."""
    told = dict.fromkeys(
        str(row["protocol"]).replace(f"{row['start']} start, ", "")
        if "start" in row
        else str(row["protocol"])
        for row in rows.values()
    )
    return (
        "A small protocol, the same for each: "
        + "; ".join(told)
        + ". None of these networks is shipped."
    )


def show_numbers(rows: Rows) -> None:
    """Show what the shipped weights lose and gain in 8 bits."""
    st.subheader("Floats and 8-bit integers")
    shared.data_table(
        numbers_table(rows),
        column_config={
            "Numbers": st.column_config.TextColumn(pinned=True),
            "ms a look": st.column_config.NumberColumn(format="%.2f"),
            "Time": st.column_config.NumberColumn(format="%.2f ×"),
            "File, MB": st.column_config.NumberColumn(format="%.1f"),
        },
        alt="Accuracy, time and size of the network in floats and in 8-bit integers",
    )
    st.caption(
        "The same weights; temperature and thresholds chosen for each. Milliseconds: processor "
        "time of one look on one thread, median. Time: its share of the floats'."
    )
    if "taleqani" in rows["float32"]["sets"]:
        st.caption(
            "Every tenth ALL field was graded with both. The shipped head has seen them all, so "
            "their agreement is shown and not their accuracy."
        )


def show_architectures(rows: Rows) -> None:
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
        "compare those with each other. Milliseconds: LiteRT, median of one picture at a time."
    )


def show_laboratories(rows: Rows) -> None:
    """Show what leaving a laboratory out costs."""
    st.subheader("A laboratory left out")
    chart(
        laboratories_figure(rows),
        "metrics_laboratories",
        "Accuracy on each laboratory, with and without training on it",
    )
    # Before the table, whose tool bar would cover the names of the laboratories on a phone.
    st.caption(
        f"Star and hatching: never trained on. Mature types; Kaggle has four. {protocols(rows)}"
    )
    shared.data_table(
        laboratories_table(rows),
        alt="Accuracy and calibration error on each laboratory by what was trained on",
    )


def show_recipes(rows: Rows) -> None:
    """Show what each part of the training's recipe is worth."""
    st.subheader("A part of the recipe left out")
    shared.data_table(
        recipe_table(rows),
        column_config={"Recipe": st.column_config.TextColumn(pinned=True)},
        alt="Accuracy and calibration error on each laboratory by what the recipe lacked",
    )
    st.caption(
        "Trained on PBC and Kaggle; CellaVision was never trained on. Read differences against "
        f"the limits. {protocols(rows)}"
    )


def show_parts(rows: Rows) -> None:
    """Show what leaving a part of the fields out costs the detector."""
    st.subheader("A part of the fields left out")
    shared.data_table(
        parts_table(rows),
        alt="Average precision and recall on each part by what was left out",
    )
    st.caption(f"mAP50, then recall of white cells. Star: never trained on. {protocols(rows)}")


@st.fragment
def show_two_runs(sections: Mapping[str, Rows], titles: Mapping[tuple[str, str], str]) -> None:
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
    first, second = (sections[section][key] for section, key in chosen)
    st.caption(
        "Difference: second less first, in points. Networks that tell eight types have a harder "
        "task than those that tell five: compare like with like."
    )
    shared.data_table(
        difference_table(first, second),
        alt="Figures of two trainings and their differences",
    )
