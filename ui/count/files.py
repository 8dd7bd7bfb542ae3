"""Files, patients and downloads of the WBC count."""

import streamlit as st

from core.charts.differential import patients_figure
from core.domain.results import FieldAnalysis
from core.exports.registry import COUNT_FORMATS, CountExport, export_files
from core.exports.tables import differentials_by_patient, files_table, patients_table
from ui.components import shared
from ui.upload.controls import exported, patient_editor
from ui.upload.session import Desk, Picture, images_of

NAME = "wbc"
ASKED, MADE, REAL = "wbc_asked", "made", "real"
"""Key in the session of the examples that were asked for, and what it holds."""


def show_files(desk: Desk) -> None:
    """Show a row for each file and, with several patients, their distributions."""
    st.subheader("Files and patients")
    pictures = list(desk.pictures.values())
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    analyses, patients = [p.result for p in pictures], [p.patient for p in pictures]
    table = files_table(analyses, patients)
    patient_editor(
        NAME,
        desk,
        table,
        {
            "file": text("File", pinned=True),
            "page": number("Page"),
            "patient": text("Patient (editable)", max_chars=60),
            "wbc": number("White cells"),
            "uncertain": number("Uncertain"),
            "duplicates": number("Counted elsewhere"),
            "unfamiliar": number("Unfamiliar look"),
            "rbc": number("Red cells"),
            "platelet": number("Platelets"),
            "width": number("Width, px"),
            "height": number("Height, px"),
            "um_per_px": number("µm per px", format="%.4f"),
            "scale_source": text("Scale from"),
            "seconds": number("Time, s", format="%.2f"),
            "refused": text("Refused"),
        },
    )
    counted = differentials_by_patient(analyses, patients)
    if len(counted) < 2:
        return
    st.plotly_chart(
        patients_figure(counted, shared.shown_width(900)),
        key=f"{NAME}_patients",
        config={"displayModeBar": False},
        alt="Share of each white cell type by patient",
    )
    with st.expander("Shares with 95 % limits by patient"):
        st.dataframe(
            patients_table(counted), hide_index=True, alt="Shares and exact limits by patient"
        )


def downloads(pictures: list[Picture[FieldAnalysis]], desk: Desk) -> None:
    """Offer what is on screen as files."""
    st.subheader("Download")
    pictures, failed = exported(NAME, desk, pictures)
    export = CountExport(
        [p.result for p in pictures],
        [p.patient for p in pictures],
        failed,
        shared.open_analyzer().versions,
        lambda: ((image.pixels, p.result) for p, image in images_of(pictures)),
    )
    shared.download_buttons(export_files(COUNT_FORMATS, export, "leukoscope"), NAME)
    st.caption("The numbers are those on this page. Boxes are in pixels of the image as uploaded.")
