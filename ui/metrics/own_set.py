"""Model metrics: a labelled folder of the user's own, measured like the standard sets."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import streamlit as st

from core.adaptation.own_set import measure_own_set
from core.errors import LeukoscopeError
from core.evaluation.report import ClassifierReport, DetectorReport
from core.evaluation.sets import OWN_SET
from core.exports.tables import csv_bytes
from core.model_card import ModelName
from ui.components import shared
from ui.components.actions import kept_button
from ui.metrics.classifier import show_classifier
from ui.metrics.detector import show_detector

LAYOUTS: dict[ModelName, str] = {
    "wbc": "Single cells in folders named after their type: `neutrophil/1.png`, `blast/2.png`, …",
    "all_stage": "Fields in folders named after their class: `Benign/1.png`, `Early/2.png`, …",
    "detector": "Fields in `images/`, YOLO boxes of the same name in `labels/` "
    "(0 white cell, 1 red cell, 2 platelet).",
}


def show_own_set(name: ModelName) -> None:
    """Let the user drop a labelled folder; show the figures of the shipped model on it."""
    st.header("Your own labelled images")
    st.markdown(
        f"{LAYOUTS[name]} Nothing is stored. The same on the command line: "
        f"`python -m core evaluate {name} --data DIR`."
    )
    state = f"own_set_{name}"
    files = st.file_uploader(
        "Drop a folder", accept_multiple_files="directory", key=f"{state}_files"
    )
    if kept_button(
        "Measure", f"{state}_measure", type="primary", disabled=not files, icon=":material/speed:"
    ):
        try:
            st.session_state[state] = measure_own_set(
                name,
                OWN_SET,
                [(PurePosixPath(file.name), file.getvalue) for file in files],
                shared.open_analyzer(),
                tracked,
            )
        except LeukoscopeError as error:
            st.session_state.pop(state, None)
            st.error(shared.plain(str(error)), icon=":material/error:")
    measured: ClassifierReport | DetectorReport | None = st.session_state.get(state)
    if measured is not None:
        show_measured(measured)


def tracked(items: Sequence[Any]) -> Iterator[Any]:
    """Pass items on and show how far they were read."""
    bar = st.progress(0.0, f"0 of {len(items):,} images")
    for done, item in enumerate(items):
        yield item
        bar.progress((done + 1) / len(items), f"{done + 1:,} of {len(items):,} images")
    bar.empty()


def show_measured(measured: ClassifierReport | DetectorReport) -> None:
    """Offer the figures and predictions as files and show them."""
    name = measured.card.name
    downloads: Iterable[tuple[str, str, str, bytes]] = (
        (
            "Figures (JSON)",
            f"leukoscope_{name}_own_images.json",
            "application/json",
            json.dumps(measured.metrics.json_object(), indent=1).encode(),
        ),
        (
            "Predictions (CSV)",
            f"leukoscope_{name}_own_images.csv",
            "text/csv",
            csv_bytes(measured.predictions),
        ),
    )
    with st.container(horizontal=True):
        for label, file, media_type, content in downloads:
            st.download_button(
                label,
                content,
                file,
                media_type,
                icon=":material/download:",
                on_click="ignore",
                key=f"own_{file}",
            )
    if isinstance(measured, DetectorReport):
        show_detector(measured, OWN_SET)
        return
    if unreadable := measured.metrics.sets[OWN_SET].unreadable:
        st.warning(
            f"{shared.number_of(unreadable, 'file')} could not be read.", icon=":material/warning:"
        )
    show_classifier(measured, OWN_SET)
