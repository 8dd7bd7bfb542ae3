"""Reference cells of a type or subtype, to compare with, all at one physical scale.

Cells reviewed here come first, then cells of public sets, then synthetic ones; each says which it
is, and none names a patient.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from core.cases.database import get_database
from core.cases.reviews import labelled_cells
from core.cases.users import require
from core.datasets.reference_cells import (
    cell_sources,
    fetch_cells,
    public_cells,
    read_cells,
    sets_to_fetch,
)
from core.datasets.sources import PUBLIC_SETS
from core.errors import LeukoscopeError, PictureMissingError
from core.imaging.preview import preview_jpeg
from core.settings import get_settings
from core.synthetic.portraits import draw_portrait
from core.teaching.reference_cells import at_scale
from ui.components.actions import kept_button
from ui.components.cell_images import SIDE_MICROMETRES
from ui.components.shared import plain
from ui.components.stored import cell_jpeg
from ui.components.visitor import current_user

REFERENCES = 4
HERE, SYNTHETIC = "reviewed here", "synthetic"
_KEPT = "10m"
"""Another process may have fetched cells, and files may be removed."""


@dataclass(frozen=True, slots=True)
class ReferenceCell:
    """One cell to compare with."""

    jpeg: bytes
    origin: str
    """`HERE`, the name of a public set, or `SYNTHETIC`."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Which cells that were reviewed here are shown, and how."""

    corrected: bool = True
    """Light-corrected, not as taken."""
    apart_from: int | None = None
    """Id of a cell to leave out."""


def reference_cells(
    key: str, count: int, size: int, reviewed: Reviewed | None, *, synthetic: bool = True
) -> list[ReferenceCell]:
    """Return up to `count` cells of a type or subtype, each `size` x `size` px.

    Cells reviewed here are for visitors with an account; reviewers name types, so a subtype has
    none. Synthetic cells fill what is missing.
    """
    found = _reviewed(key, count, size, reviewed) if reviewed else []
    settings = get_settings()
    found += _public(key, count - len(found), size, str(settings.data), str(settings.store))
    if synthetic:
        missing = range(1, 1 + count - len(found))
        found += [ReferenceCell(_portrait(key, seed, size), SYNTHETIC) for seed in missing]
    return found


def _reviewed(key: str, count: int, size: int, which: Reviewed) -> list[ReferenceCell]:
    found = []
    try:
        database = get_database()
        current_user(database)
        for cell in labelled_cells(database, key, count, apart_from=which.apart_from):
            try:
                found.append(ReferenceCell(cell_jpeg(cell, size, which.corrected), HERE))
            except PictureMissingError:  # one lost image must not prevent the review of others
                continue
    except LeukoscopeError:  # a page for everyone, or no store: the others are shown
        pass
    return found


@st.cache_data(max_entries=200, ttl=_KEPT, show_spinner=False)
def _public(key: str, count: int, size: int, data: str, store: str) -> list[ReferenceCell]:
    del data, store  # folders of the cells: those of others are read anew
    return [
        ReferenceCell(preview_jpeg(at_scale(pixels, size)), PUBLIC_SETS[cell.set].name)
        for cell, pixels in read_cells(public_cells(key), count)
    ]


@st.cache_data(max_entries=200, show_spinner=False)
def _portrait(key: str, seed: int, size: int) -> bytes:
    return preview_jpeg(draw_portrait(key, seed, size, SIDE_MICROMETRES).pixels)


@st.cache_data(max_entries=200, ttl=_KEPT, show_spinner=False)
def _to_fetch(key: str, data: str, store: str) -> tuple[str, ...]:
    del data, store
    return sets_to_fetch(key)


def credits_of(cells: Iterable[ReferenceCell]) -> str:
    """Return whom to credit for the public cells among these; empty without any."""
    shown = {cell.origin for cell in cells}
    lines = (
        f"{PUBLIC_SETS[name].name}: {source.credit}."
        for name, source in cell_sources().items()
        if PUBLIC_SETS[name].name in shown
    )
    return " ".join(lines)


def offer_reference_cells(keys: Iterable[str]) -> None:
    """Offer the public cells of types or subtypes that are not on this server, if any."""
    settings = get_settings()
    folders = str(settings.data), str(settings.store)
    names = dict.fromkeys(name for key in keys for name in _to_fetch(key, *folders))
    if not names:
        return
    with st.popover("Get real reference cells", icon=":material/cloud_download:"):
        for name in names:
            _offer(name)


def _offer(name: str) -> None:
    source = PUBLIC_SETS[name]
    st.markdown(f"**{source.name}**: {source.content}. Source: {source.url}")
    st.caption(f"Licence: {source.licence}. {plain(source.citation)}")
    try:
        require(current_user(get_database()), "admin")
    except LeukoscopeError:
        st.caption("An administrator can fetch them here.")
        return
    if not kept_button(
        f"Get cells of {source.name}, about 1 MB",
        f"references_{name}",
        icon=":material/cloud_download:",
    ):
        return
    bar = st.progress(0.0, "Connecting")
    try:
        fetch_cells(name, progress=lambda share, text: bar.progress(min(share, 1.0), text))
    except LeukoscopeError as error:
        bar.empty()
        st.error(plain(str(error)), icon=":material/error:")
        return
    finally:
        _public.clear()
        _to_fetch.clear()
    st.rerun()
