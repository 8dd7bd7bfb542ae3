"""What all pages share: the head, the models, names made safe, pictures that can be zoomed."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.domain.flags import Flag, Severity
from core.domain.taxonomy import RESEARCH_NOTICE
from core.errors import ModelError
from core.exports.registry import XLSX, ExportFile
from core.exports.xlsx import workbook
from core.inference.pipeline import Analyzer, get_analyzer

FRAMED = "framed"
"""Key in the session that the frame sets."""
_ATTRIBUTE_VALUES = {"densely": "densely packed", "loosely": "loosely packed", "nil": "none"}
"""Values of the data set that do not read as words beside the attribute's name."""
_FLAG_MARKS: dict[Severity, str] = {
    "review": ":red-badge[:material/priority_high: review]",
    "warning": ":orange-badge[:material/warning: warning]",
    "note": ":gray-badge[:material/info: note]",
}
MOST_HEIGHT = 620
"""CSS pixels of a picture's height, so that it fits into a window with what is beside it."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:$&])")
_FOUND_IN_TEXT = re.compile(
    r"(?i:(?<=http)(?=s?://)|(?<=www)(?=\.))|(?=@[-\w]+\.)"  # addresses, of mail too
    r"|(?<=:)(?=[A-Za-z])"  # icons, such as `:material/home:`
    r"|(?<=[-<>=~!])(?=[-<>=~])"  # arrows and dashes
)
_EMPTY_SPAN = ":gray[]"
PHONE_WIDTH = 360
"""CSS pixels that a phone leaves for a drawing, about."""


def header(title: str, lead: str, *, for_everyone: bool = False) -> None:
    """Write the head of a page with the research notice, before anything else of the page.

    Ends the page of a visitor who has to sign in first; pages `for_everyone` need no account.
    """
    from ui.components.visitor import admit  # which escapes names with `plain`

    _enter_frame()
    admit(for_everyone=for_everyone)
    st.title(title)
    st.markdown(lead)
    st.caption(RESEARCH_NOTICE)


def _enter_frame() -> None:
    """Put the frame round a page that runs without it.

    Streamlit runs the files of a folder `pages` on their own until `st.navigation` is first called
    in its process: so it does when the first visitor comes by the address of a page.
    """
    if FRAMED not in st.session_state:
        name = urlsplit(st.context.url or "").path.rpartition("/")[2]
        names = dict.fromkeys(["overview", name or "overview"])
        st.navigation([st.Page(f"pages/{n}.py", url_path=n) for n in names], position="hidden")
        st.rerun()


def open_analyzer() -> Analyzer:
    """Return the analyzer; without working models say which is wrong and end the page."""
    try:
        return get_analyzer()
    except ModelError as error:
        st.error(str(error), icon=":material/error:", title="The models cannot be used")
        st.stop()


def shown_width(desktop: int) -> int:
    """Return about how wide a drawing will be, in CSS pixels; a phone says in its name it is one.

    Figures must know their height beforehand, and it follows from their width.
    """
    return PHONE_WIDTH if on_phone() else desktop


def on_phone() -> bool:
    """Tell whether the browser is a phone's."""
    return "Mobi" in st.context.headers.get("User-Agent", "")


def picture_chart(
    figure: go.Figure, key: str, alt: str, clicked: Callable[[int], None] | None = None
) -> None:
    """Draw a picture that can be zoomed and moved; phones have no room for the tool bar.

    `clicked` is called with the number of the cell that was clicked.
    """

    def selected() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points and clicked:  # a figure drawn anew empties the selection
            clicked(int(points[-1]["customdata"]))

    config: dict[str, Any] = {"scrollZoom": True, "displaylogo": False, "displayModeBar": False}
    if not on_phone():
        config["displayModeBar"] = "hover"
    # The server cannot know how wide the drawing will be: the browser makes it as high as the
    # picture and the legend above it need. Shares in `padding` are of the width.
    ratio = figure.layout.yaxis.range[0] / figure.layout.xaxis.range[1]
    room = f"calc(min({100 * ratio:.2f}%, {MOST_HEIGHT}px) + {figure.layout.margin.t}px)"
    st.html(
        f"<style>.st-key-{key}_frame {{position: relative; padding-top: {room}}}"
        f".st-key-{key} {{position: absolute; inset: 0}}</style>"
    )
    with st.container(key=f"{key}_frame"):
        st.plotly_chart(
            figure,
            height="stretch",
            key=key,
            config=config,
            alt=alt,
            on_select=selected if clicked else "ignore",
            selection_mode="points",
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
    """Show a table that can be taken along as XLSX; `options` are those of `st.dataframe`.

    `alt` names the file too, so no two tables of a page have the same. The tool bar of Streamlit's
    tables offers CSV with commas and with formulas of strangers in it; the app shell hides that.
    """
    st.dataframe(data, hide_index=True, alt=alt, **options)
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


def held_out(uncertain: int) -> str:
    """Say how many uncertain cells are held out, in words that fit the number."""
    return (
        "1 uncertain cell is held out"
        if uncertain == 1
        else f"{uncertain} uncertain cells are held out"
    )


def number_of(number: int, noun: str) -> str:
    """Write a number of things, such as `1 field` or `1,200 fields`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def list_flags(found: Iterable[Flag]) -> None:
    """List what deserves a second look, each with its severity as a word and a colour."""
    for flag in found:
        st.markdown(f"{_FLAG_MARKS[flag.severity]} {plain(flag.sentence)}")


def attributes_table(attributes: Mapping[str, str]) -> None:
    """List the morphological attributes of a cell."""
    st.table(
        {
            name.replace("_", " ").capitalize(): _ATTRIBUTE_VALUES.get(value, value)
            for name, value in attributes.items()
        },
        border="horizontal",
    )
    st.caption("As the model sees them (WBCAtt); nobody has reviewed them.")


def plain(text: str) -> str:
    """Escape a name, or another text of strangers, for Markdown: it is shown as it is written.

    Streamlit looks for addresses, icons and arrows in the text that escapes leave: an empty span
    stands where one would be found. So nothing of a name is a link, and its characters stay as
    they are when it is copied.
    """
    parts = (_MARKDOWN.sub(r"\\\1", part) for part in _FOUND_IN_TEXT.split(text))
    return _EMPTY_SPAN.join(parts)
