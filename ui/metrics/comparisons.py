"""The metrics page's tab on comparisons: small trainings, and floats beside 8-bit integers."""

from collections.abc import Mapping

import streamlit as st

from core.errors import ModelError
from core.evaluation.comparisons import (
    ArchitectureRow,
    PrecisionRow,
    Row,
    SourcesRow,
    load_comparisons,
)
from core.evaluation.tables import (
    architectures_table,
    precisions_table,
    recipe_sentence,
    recipe_table,
)
from core.model_card import ModelName
from ui.components import shared


def show_comparisons(name: ModelName) -> None:
    """Show what was compared, whichever the model has."""
    try:
        comparisons = load_comparisons(name)
    except ModelError as error:
        st.header("Comparisons")
        st.info(str(error), icon=":material/hourglass_empty:")
        return
    if not (comparisons.precisions or comparisons.architectures or comparisons.recipe):
        st.info("This model was not compared with others.", icon=":material/hourglass_empty:")
    if comparisons.precisions:
        show_precisions(comparisons.precisions)
    if comparisons.architectures:
        show_architectures(comparisons.architectures)
    if comparisons.recipe:
        show_recipes(comparisons.recipe)


def protocols(rows: Mapping[str, Row]) -> str:
    """Say on what protocols the rows were trained; where starts differ, the table names them."""
    texts = dict.fromkeys(
        row.protocol.replace(f"{row.start} start, ", "")
        if isinstance(row, ArchitectureRow)
        else row.protocol
        for row in rows.values()
    )
    title = "A short protocol, the same for each" if len(texts) == 1 else "Short protocols"
    recipes = recipe_sentence(rows.values())
    return f"{title}: {'; '.join(texts)}. None of these networks is shipped.{recipes}"


def show_precisions(rows: Mapping[str, PrecisionRow]) -> None:
    """Show what the shipped weights lose and gain in 8 bits."""
    st.header("Floats and 8-bit integers")
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
        + recipe_sentence(rows.values())
    )
    if "taleqani" in rows["float32"].sets:
        st.caption(
            "Every tenth ALL field was graded with both. The shipped head was trained on all of "
            "them, so their agreement is shown and not their accuracy."
        )


def show_architectures(rows: Mapping[str, ArchitectureRow]) -> None:
    """Show the networks beside each other."""
    st.header("Other networks")
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


def show_recipes(rows: Mapping[str, SourcesRow]) -> None:
    """Show what each component of the training's recipe is worth, and what others would be."""
    st.header("The recipe changed")
    shared.data_table(
        recipe_table(rows),
        column_config={"Recipe": st.column_config.TextColumn(pinned=True)},
        alt="Accuracy and calibration error on each source by how the recipe was changed",
    )
    st.caption(
        "Trained on PBC and Kaggle; the other sources were never trained on. Read differences "
        f"against the limits. {protocols(rows)}"
    )
