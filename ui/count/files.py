"""Files, patients and downloads of the WBC count."""

import streamlit as st

from core.charts.differential import patients_figure
from core.exports.registry import COUNT_FORMATS, CountExport, export_files
from core.exports.tables import differentials_by_patient, files_table, patients_table
from core.imaging.segmentation import METHODS, SegmentationMethod
from ui.components import shared
from ui.upload.controls import exported, patient_editor
from ui.upload.images import SessionImage, decode_again
from ui.upload.session import UploadSession


def show_files(session: UploadSession) -> None:
    """Show a row for each file and, with several patients, their distributions."""
    st.header("Files and patients")
    images = list(session.images.values())
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    analyses, patients = [i.result for i in images], [i.patient for i in images]
    table = files_table(analyses, patients)
    patient_editor(
        session,
        table,
        {
            "file": text("File", pinned=True),
            "page": number("Page"),
            "patient": text("Patient (editable)", max_chars=60),
            "overruled": text("Analysed against quality control"),
            "wbc": number("White cells"),
            "uncertain": number("Uncertain"),
            "duplicates": number("Counted elsewhere"),
            "unfamiliar": number("Unlike the training images"),
            "rbc": number("Red cells"),
            "platelet": number("Platelets"),
            "width": number("Width, px"),
            "height": number("Height, px"),
            "um_per_px": number("µm per px", format="%.4f"),
            "scale_source": text("Scale from"),
            "seconds": number("Time, s", format="%.2f"),
            "refused": text("Rejected"),
        },
    )
    counted = differentials_by_patient(analyses, patients)
    if len(counted) < 2:
        return
    shared.chart(
        patients_figure(counted, shared.shown_width(900)),
        "wbc_patients",
        "Percentage of each white cell type by patient",
    )
    with st.expander("Percentages with 95 % confidence intervals by patient"):
        st.dataframe(
            patients_table(counted),
            hide_index=True,
            alt="Percentages and exact confidence intervals by patient",
        )


def downloads(session: UploadSession, images: list[SessionImage]) -> None:
    """Offer what is on screen as files."""
    st.header("Download")
    images, failed = exported(session, images)
    method: SegmentationMethod | None = st.selectbox(
        "Measures of nucleus and cell in the table of cells",
        list(METHODS),
        index=None,
        format_func=METHODS.__getitem__,
        placeholder="None",
        key="wbc_measures",
        persist_state="session",
        width=320,
        help="Adds nuclear and cell area, nucleus-cytoplasm ratio, roundness and lobes to Workbook "
        "and Cells. They are computed when you download.",
    )
    export = CountExport(
        [image.result for image in images],
        [image.patient for image in images],
        failed,
        shared.open_analyzer().versions,
        lambda: ((decoded.pixels, image.result) for image, decoded in decode_again(images)),
        method,
    )
    files = export_files(COUNT_FORMATS, export, "leukoscope")
    shared.download_buttons(files, session.name)
    st.caption("The numbers are those of this page. Boxes are in pixels of the uploaded image.")
