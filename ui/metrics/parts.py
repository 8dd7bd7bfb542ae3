"""Charts and galleries that the metrics of all models share."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.domain.intervals import Estimate
from core.evaluation.sets import evaluation_set, read_set_images
from core.evaluation.tables import percent
from ui.components import shared

PAGE_OF_IMAGES = 12
THREE_DIGITS = st.column_config.NumberColumn(format="%.3f")
COUNT = st.column_config.NumberColumn(format="localized")


def chart(figure: go.Figure, key: str, alt: str) -> None:
    """Draw a chart without tool bar."""
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)


def show_head(key: str, images: int, values: Mapping[str, tuple[str, str | None, str]]) -> None:
    """Show the main figures of a set: label to value, confidence interval and meaning."""
    with st.grid(len(values), min_column_width=150):
        for label, (value, limits, meaning) in values.items():
            st.metric(
                label,
                value,
                limits,
                delta_color="off",
                delta_arrow="off",
                help=meaning,
                border=True,
                height="stretch",
            )
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
        st.caption("The images of this set are not on this machine, so only their names are shown.")
        return
    with st.grid("auto", min_column_width=120):
        for file, caption in zip(files[shown], captions[shown], strict=True):
            name = shared.plain(PurePosixPath(file).name)
            if file in images:
                st.image(images[file], caption=f"{caption}  \n{name}", width="stretch", alt=name)
            else:
                st.caption(f"{caption}  \n{name}, not on this machine")
