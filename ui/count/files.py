"""Files, patients and downloads of the WBC count."""

import json

import streamlit as st

from core.charts.differential import patients_figure
from core.domain.differential import Differential, differential
from core.domain.results import FieldAnalysis
from core.exports.annotated import annotated_zip
from core.exports.answers import analyze_answer
from core.exports.tables import (
    cells_table,
    csv_bytes,
    differentials_table,
    files_table,
    patients_table,
)
from core.exports.xlsx import XLSX, workbook
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
    table = files_table([p.result for p in pictures], [p.patient for p in pictures])
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
    counted = by_patient(pictures)
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


def by_patient(pictures: list[Picture[FieldAnalysis]]) -> dict[str, Differential]:
    """Return the differential of each patient's fields."""
    return {
        patient: differential(p.result for p in pictures if p.patient == patient)
        for patient in dict.fromkeys(p.patient for p in pictures)
    }


def downloads(pictures: list[Picture[FieldAnalysis]], desk: Desk) -> None:
    """Offer what is on screen as files."""
    st.subheader("Download")
    pictures, failed = exported(NAME, desk, pictures)
    analyses, patients = [p.result for p in pictures], [p.patient for p in pictures]
    versions = shared.open_analyzer().versions
    tables = {
        "Differential": lambda: differentials_table(by_patient(pictures)),
        "Cells": lambda: cells_table(analyses, patients),
        "Files": lambda: files_table(analyses, patients),
    }
    shared.download_buttons(
        (
            (
                "Workbook, XLSX",
                "leukoscope.xlsx",
                XLSX,
                lambda: workbook({name: made() for name, made in tables.items()}),
            ),
            *(
                (
                    f"{name}, CSV",
                    f"leukoscope_{name.lower()}.csv",
                    "text/csv",
                    lambda made=made: csv_bytes(made()),
                )
                for name, made in tables.items()
            ),
            (
                "All, JSON",
                "leukoscope.json",
                "application/json",
                lambda: json.dumps(analyze_answer(analyses, failed, models=versions), indent=1),
            ),
            (
                "Annotated pictures, ZIP",
                "leukoscope_pictures.zip",
                "application/zip",
                lambda: annotated_zip((image.pixels, p.result) for p, image in images_of(pictures)),
            ),
        ),
        NAME,
    )
    st.caption(
        "The numbers are those on this page. Boxes are in pixels of the picture as uploaded."
    )
