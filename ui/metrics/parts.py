"""Charts and galleries that the metrics of all models share."""

import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.charts.export import WIDTH, figure_table, paper_figure
from core.datasets.sources import PUBLIC_SETS
from core.domain.intervals import Estimate
from core.evaluation.report import MODEL_TITLES, ModelReport
from core.evaluation.schema import DetectionFigures
from core.evaluation.sets import evaluation_set, read_set_images
from core.evaluation.tables import percent
from core.exports.tables import csv_bytes
from ui.components import shared
from ui.components.actions import kept_button
from ui.components.fetch import offer_set

PAGE_OF_IMAGES = 12
THREE_DIGITS = st.column_config.NumberColumn(format="%.3f")
COUNT = st.column_config.NumberColumn(format="localized")


def provenance(report: ModelReport, key: str | None = None) -> str:
    """Say where a figure comes from: set, split, images, model, version and revision."""
    card = report.card
    model = f"{MODEL_TITLES[card.name]} {card.version}, revision {card.git_revision}"
    parts = [f"{model}, trained {card.trained_on}", "Leukoscope"]
    if key is not None:
        figures = report.metrics.sets[key]
        n = figures.images if isinstance(figures, DetectionFigures) else figures.n
        described = evaluation_set(key)
        parts.insert(0, f"{described.name}, {described.split}, n = {n:,}")
    return ". ".join(parts)


def chart(  # noqa: PLR0913 - what is drawn, and what is taken home
    figure: go.Figure,
    key: str,
    alt: str,
    source: str,
    *,
    data: pd.DataFrame | None = None,
    paper: go.Figure | None = None,
    **options: Any,
) -> None:
    """Draw a chart without tool bar and offer it as SVG, PNG and CSV.

    `source` is its line of provenance. `data` are its numbers where the points of the figure do not
    say enough, `paper` the figure on a white page where it differs, `options` those of Streamlit.
    """
    with st.container():
        st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt, **options)
        pressed = kept_button(
            "Export", f"{key}_export", icon=":material/download:", type="tertiary"
        )
    if pressed:
        export_figure(paper or figure, alt, source, figure_table(figure) if data is None else data)


@st.dialog("Export figure", width="large")
def export_figure(figure: go.Figure, alt: str, source: str, data: pd.DataFrame) -> None:
    """Offer a figure as SVG, PNG and CSV. The browser draws the image: the server has no Chrome."""
    name = "leukoscope_" + re.sub(r"[^a-z0-9]+", "_", alt.lower()).strip("_")[:60]
    paper = paper_figure(figure, source)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        form = st.segmented_control(
            "Image", ["SVG", "PNG"], default="SVG", required=True, key="export_format"
        )
        st.download_button(
            "Data (CSV)",
            lambda: f"# {source}\r\n".encode("utf-8-sig") + csv_bytes(data).removeprefix(BOM_UTF8),
            f"{name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    st.caption(
        f"Press the camera at the top right of the figure to save it as {form}, {WIDTH} pixels "
        "wide, with the line of its origin."
    )
    st.plotly_chart(
        paper,
        key=f"export_{form}",
        theme=None,
        alt=alt,
        config={
            "displayModeBar": True,
            "displaylogo": False,
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {
                "format": form.lower(),
                "filename": name,
                "width": WIDTH,
                "height": paper.layout.height,
                "scale": 3 if form == "PNG" else 1,
            },
        },
    )


def show_head(key: str, images: int, values: Mapping[str, tuple[str, str | None, str]]) -> None:
    """Show the main figures of a set: label to value, confidence interval and meaning."""
    shared.metrics(values, width=150)
    described = evaluation_set(key)
    st.caption(
        f"n = {images:,} images; below each value its 95 % confidence interval. {described.note}"
    )


def estimate(share: Estimate | None, meaning: str) -> tuple[str, str | None, str]:
    """Split an estimate into its value and its confidence interval."""
    if share is None:
        return "none", None, meaning
    value, _, limits = percent(share).partition(" (")
    return value, limits.rstrip(")"), meaning


def show_gallery(key: str, files: Sequence[str], captions: Sequence[str], state: str) -> None:
    """Show images of a set page by page, or only their names where the set is missing."""
    pages = -(-len(files) // PAGE_OF_IMAGES)
    page = st.pagination(pages, key=f"{state}_page") if pages > 1 else 1
    first = (page - 1) * PAGE_OF_IMAGES
    shown = slice(first, first + PAGE_OF_IMAGES)
    st.caption(f"{first + 1}-{first + len(files[shown])} of {len(files)} shown")
    images = read_set_images(key, files[shown])
    if not images:
        st.dataframe(
            pd.DataFrame({"File": files[shown], "Answer": captions[shown]}),
            hide_index=True,
            alt="Files with their answers",
        )
        _offer_images(key, state)
        return
    with st.grid("auto", min_column_width=120):
        for file, caption in zip(files[shown], captions[shown], strict=True):
            name = shared.plain(PurePosixPath(file).name)
            if file in images:
                st.image(images[file], caption=f"{caption}  \n{name}", width="stretch", alt=name)
            else:
                st.caption(f"{caption}  \n{name}, not on this machine")


def _offer_images(key: str, state: str) -> None:
    """Offer the images of a measured set; none for the user's own."""
    archive = evaluation_set(key).archive
    name = next((name for name, own in PUBLIC_SETS.items() if own.archive == archive), None)
    if name is None:  # the user's own images
        return
    offer_set(name, state)
