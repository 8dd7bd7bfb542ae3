"""The table of reference ranges, which admins can edit."""

from typing import get_args

import pandas as pd
import streamlit as st

from core.cases.database import Database
from core.cases.range_tables import RangesTable, ranges_table, restore_ranges, save_ranges
from core.cases.records import User
from core.domain.reference_ranges import ANALYTES, Unit, check_lines, choose_laboratory
from core.domain.taxonomy import Sex
from core.exports.registry import RANGE_FORMATS, export_files
from core.settings import Settings
from ui.components.actions import kept_button
from ui.components.cases import errors_shown
from ui.components.shared import download_buttons, plain


def show_ranges(database: Database, admin: User, settings: Settings) -> None:
    """Show the current table; an admin can edit it or restore the file."""
    st.header("Reference ranges")
    with errors_shown():
        table = ranges_table(database, settings)
        _show_origin(table, settings)
        _edit(database, admin, settings, table)


def _show_origin(table: RangesTable, settings: Settings) -> None:
    origin = f"table {table.version}, edited here"
    if not table.edited:
        origin = f"the file {settings.ranges.name}"
    with errors_shown():  # the table may lack the laboratory: it can be added here
        used = choose_laboratory(table.lines, settings).laboratory
        st.markdown(f"In force: **{plain(used)}**, from {plain(origin)}.")
    st.caption(
        "Ages are in years; the upper age is excluded, and an empty one means no limit. "
        "Percentages are in %, erythroblasts per 100 white cells. Ranges differ between "
        "laboratories and populations. Reports name the laboratory and the table they used."
    )


@st.fragment
def _edit(database: Database, admin: User, settings: Settings, table: RangesTable) -> None:
    number = st.column_config.NumberColumn
    choice, text = st.column_config.SelectboxColumn, st.column_config.TextColumn
    shown = pd.DataFrame(
        [line.model_dump() for line in table.lines],
        index=pd.RangeIndex(1, len(table.lines) + 1, name="Line"),
    ).astype({"age_to": float})
    edited = st.data_editor(
        shown,
        # After a save the editor starts again from the saved table.
        key=f"ranges_{table.version}",
        num_rows="dynamic",
        hide_index=False,
        placeholder="",
        column_config={
            "laboratory": text("Laboratory", required=True),
            "analyte": choice("Analyte", options=ANALYTES, required=True),
            "unit": choice("Unit", options=get_args(Unit), required=True),
            "sex": choice("Sex", options=("any", *get_args(Sex)), default="any", required=True),
            "age_from": number("From age", min_value=0, default=18, required=True),
            "age_to": number("To age", min_value=0),
            "low": number("Low", min_value=0, required=True),
            "high": number("High", min_value=0, required=True),
            "source": text("Source", required=True, width="large"),
        },
        alt="Editable reference ranges with their sources",
    )
    with st.container(horizontal=True):
        saved = kept_button(
            "Save the table",
            "ranges_save",
            icon=":material/save:",
            type="primary",
            disabled=edited.equals(shown),
            help="Applies to every differential from now on.",
        )
        restored = kept_button(
            f"Restore {settings.ranges.name}",
            "ranges_restore",
            icon=":material/settings_backup_restore:",
            disabled=not table.edited,
            help="The edited tables stay on record.",
        )
    download_buttons(export_files(RANGE_FORMATS, shown, "leukoscope_reference_ranges"), "ranges")
    with errors_shown():
        if saved:
            rows = edited.astype(object).where(edited.notna(), None).to_dict("records")
            lines = check_lines(rows, edited.index)
            save_ranges(database, admin, table.version, lines, settings)
        if restored:
            restore_ranges(database, admin, table.version)
        if saved or restored:
            st.rerun()
