"""What all pages share: models, escaped text, images that can be zoomed, tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.access import VISITOR_COOKIE, get_access, visitors
from core.charts.field import data_uri
from core.domain.flags import Flag
from core.errors import ModelError
from core.exports.registry import XLSX, ExportFile
from core.exports.xlsx import workbook
from core.inference.pipeline import Analyzer, get_analyzer

_ATTRIBUTE_VALUES = {"densely": "densely packed", "loosely": "loosely packed", "nil": "none"}
"""Values of the data set that need words beside the attribute's name."""
MAX_HEIGHT = 620
"""CSS pixels: a higher image would not fit into the window with its legend."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:$&])")
_FOUND_IN_TEXT = re.compile(
    r"(?i:(?<=http)(?=s?://)|(?<=www)(?=\.))|(?=@[-\w]+\.)"  # addresses, of mail too
    r"|(?<=:)(?=[A-Za-z])"  # icons, such as `:material/home:`
    r"|(?<=[-<>=~!])(?=[-<>=~])"  # arrows and dashes
)
_EMPTY_SPAN = ":gray[]"
PHONE_WIDTH = 360
"""CSS pixels: the approximate width of a chart on a phone."""


def open_analyzer() -> Analyzer:
    """Return the analyzer; when a model is missing or damaged, show which one and end the page."""
    try:
        return get_analyzer()
    except ModelError as error:
        st.error(str(error), icon=":material/error:", title="The models cannot be used")
        st.stop()


def shown_width(desktop: int) -> int:
    """Return the approximate width of a chart in CSS pixels.

    A figure needs its height in advance, which follows from its width.
    """
    return PHONE_WIDTH if on_phone() else desktop


def on_phone() -> bool:
    """Return whether the browser runs on a phone."""
    return "Mobi" in st.context.headers.get("User-Agent", "")


def chart(figure: go.Figure, key: str, alt: str) -> None:
    """Draw a chart without tool bar."""
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)


def may_fetch() -> bool:
    """Return whether the server gives files to this visitor; pages for everyone need not."""
    return not get_access().sign_in or visitors.may(st.context.cookies.get(VISITOR_COOKIE), "fetch")


def embed_image(jpeg: bytes, *, alt: str, width: Literal["stretch"] | int = "stretch") -> None:
    """Show a JPEG as a part of the page itself.

    Pages for everyone do: the server gives files only to visitors who signed in.
    """
    st.image(data_uri(jpeg), width=width, alt=alt)


def thumbnails(jpegs: Sequence[bytes], captions: Sequence[str], width: int, what: str = "") -> None:
    """Show small JPEGs in rows, each above its caption; `width` in CSS pixels.

    Screen readers say `what` each shows before its caption.

    They are one element of the page: the captions of `st.image` are Markdown each, which takes the
    browser a good part of the time in which it draws a page of many.
    """
    figures = "".join(
        f'<figure style="margin: 0; width: {width}px">'
        f'<img src="{data_uri(jpeg)}" alt="{escape(f"{what} {caption}".strip())}" '
        f'width="{width}" style="display: block; border-radius: 0.4rem">'
        f'<figcaption aria-hidden="true" style="font-size: 0.875rem; line-height: 1.3; '
        f'opacity: 0.78; overflow-wrap: anywhere; text-align: center">{escape(caption)}'
        "</figcaption></figure>"
        for jpeg, caption in zip(jpegs, captions, strict=True)
    )
    st.html(f'<div style="display: flex; flex-wrap: wrap; gap: 0.75rem">{figures}</div>')


def image_chart(figure: go.Figure, key: str, alt: str) -> None:
    """Draw an image that can be zoomed and moved; on phones without a tool bar."""
    config: dict[str, Any] = {"scrollZoom": True, "displaylogo": False, "displayModeBar": False}
    if not on_phone():
        config["displayModeBar"] = "hover"
    # The server does not know the width of the chart, so the browser sets the height that the image
    # needs. Percentages in `padding` refer to the width.
    ratio = figure.layout.yaxis.range[0] / figure.layout.xaxis.range[1]
    room = f"min({100 * ratio:.2f}%, {MAX_HEIGHT}px)"
    st.html(
        f"<style>.st-key-{key}_frame {{position: relative; padding-top: {room}}}"
        f".st-key-{key} {{position: absolute; inset: 0}}</style>"
    )
    with st.container(key=f"{key}_frame"):
        st.plotly_chart(figure, height="stretch", key=key, config=config, alt=alt)


def metrics(values: Mapping[str, tuple[str, str | None, str | None]], width: int = 120) -> None:
    """Show values in a row: label to value, what stands below it, and meaning.

    `width` is the least of each, in CSS pixels.
    """
    with st.grid(len(values), min_column_width=width):
        for label, (value, below, meaning) in values.items():
            st.metric(
                label,
                value,
                below,
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                help=meaning,
            )


def file_names_toggle(key: str) -> bool:
    """Ask whether exports may contain file names."""
    return st.toggle(
        "With file names",
        key=f"{key}_file_names",
        persist_state="session",
        help="File names often contain patient identifiers. Without them the files are called "
        "field 1, field 2, in the order of this page.",
    )


def download_buttons(files: Iterable[ExportFile], key: str) -> None:
    """Offer files in a row; each is written when the user asks for it."""
    with st.container(horizontal=True):
        for file in files:
            st.download_button(
                file.label,
                file.write,
                file.name,
                file.media_type,
                icon=":material/download:",
                on_click="ignore",
                key=f"{key}_{file.name}",
            )


def data_table(data: pd.DataFrame, *, alt: str, **options: Any) -> None:
    """Show a table, for those who may fetch files with its download as XLSX.

    `options` are those of `st.dataframe`.

    `alt` names the file too, so it is unique on a page. The app shell hides the CSV download of
    Streamlit's tables, which lets spreadsheets run formulas from file names.
    """
    st.dataframe(data, hide_index=True, alt=alt, **options)
    if not may_fetch():
        return
    name = re.sub(r"[^a-z0-9]+", "_", alt.lower()).strip("_")
    st.download_button(
        "XLSX",
        lambda: workbook({"Table": data}),
        f"leukoscope_{name}.xlsx",
        XLSX,
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key=f"table_{name}",
        help="This table as a workbook",
    )


def uncertain_text(uncertain: int) -> str:
    """Return a phrase with the number of uncertain cells."""
    return (
        f"{number_of(uncertain, 'uncertain cell')} {'is' if uncertain == 1 else 'are'} not counted"
    )


def number_of(number: int, noun: str) -> str:
    """Write a number of things, such as `1 field` or `1,200 fields`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def show_urgent(found: Iterable[Flag]) -> None:
    """Show the urgent flags in a red box, which stands above a result."""
    if urgent := [plain(flag.sentence) for flag in found if flag.severity == "urgent"]:
        st.error("\n\n".join(urgent), title="Urgent", icon=":material/priority_high:")


def attributes_table(attributes: Mapping[str, str]) -> None:
    """List the morphological attributes of a cell."""
    st.table(
        {
            name.replace("_", " ").capitalize(): _ATTRIBUTE_VALUES.get(value, value)
            for name, value in attributes.items()
        },
        border="horizontal",
    )
    st.caption("Predicted by the model (WBCAtt), not reviewed.")


def plain(text: str) -> str:
    """Escape text from users or files for Markdown: it is shown exactly as written.

    Streamlit also turns addresses, icons and arrows in escaped text into links and symbols. An
    empty span breaks each of them, so that no name becomes a link.
    """
    parts = (_MARKDOWN.sub(r"\\\1", part) for part in _FOUND_IN_TEXT.split(text))
    return _EMPTY_SPAN.join(parts)
