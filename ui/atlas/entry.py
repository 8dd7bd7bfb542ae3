"""One entry of the atlas as a page of a textbook."""

import streamlit as st

from core.cases.database import get_database
from core.cases.range_tables import ranges_in_force
from core.datasets.reference_cells import public_cells
from core.domain.reference_ranges import Unit
from core.domain.taxonomy import CELL_TYPES, STAGES, label_name
from core.errors import LeukoscopeError, ModelError
from core.settings import get_settings
from core.synthetic.portraits import SIDE_MICROMETRES, side_of
from core.synthetic.red_cells import RED_CELLS
from core.teaching.atlas import MATURATION, Atlas, Entry
from core.teaching.attributes import TITLES, in_words, observed, observed_text
from core.teaching.confusions import Confusions, model_confusions
from core.teaching.tours import EntryStep
from ui.atlas.grid import PAGE, show_maturation
from ui.atlas.images import MEDIUM, labelled_jpeg, portrait_jpeg
from ui.components import shared
from ui.components.references import (
    Reviewed,
    credits_of,
    offer_reference_cells,
    reference_cells,
)
from ui.components.shared import embed_image
from ui.components.tours import lecture_row

_VARIANTS = (2, 3, 4, 5)
_REAL = 10
_UNITS: dict[Unit, str] = {"%": "% of leukocytes", "10^9/L": "× 10⁹/L"}


@st.cache_resource(ttl="10m", max_entries=2, show_spinner=False)
def _confusions(models: str) -> dict[str, Confusions]:
    del models  # its folder: another one is read anew
    return model_confusions()


def navigation(atlas: Atlas, entry: Entry) -> None:
    """Offer the entries before and after, and the grid."""
    before, after = atlas.neighbours(entry.key)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.page_link(
            PAGE,
            label=before.name,
            icon=":material/arrow_back:",
            query_params={"cell": before.key},
            help="Previous entry",
        )
        st.page_link(PAGE, label="All types", icon=":material/grid_view:")
        st.page_link(
            PAGE,
            label=after.name,
            icon=":material/arrow_forward:",
            icon_position="right",
            query_params={"cell": after.key},
            help="Next entry",
        )


def show_entry(atlas: Atlas, entry: Entry) -> None:
    """Show everything about one entry."""
    lecture_row(EntryStep(cell=entry.key), {"cell": entry.key})
    left, right = st.columns([1, 1.25], gap="large")
    with left:
        show_figure(entry)
    with right:
        show_facts(atlas, entry)
        st.markdown(entry.text)
    show_real_cells(entry)
    if entry.key in MATURATION:
        st.header("Its place in maturation")
        show_maturation(atlas, entry.key)
    if entry.attributes:
        show_attributes(entry)
    show_look_alikes(atlas, entry)
    show_causes(entry)
    st.header("Sources")
    st.markdown("\n".join(f"- {shared.plain(work)}" for work in atlas.citations(entry)))


def show_figure(entry: Entry) -> None:
    """Show the labelled drawing and more drawings of the same type."""
    with_labels = st.toggle("Labels", True, key="atlas_labels", persist_state="session")
    jpeg, notes = labelled_jpeg(entry.key, labels=with_labels)
    embed_image(jpeg, width="stretch", alt=f"Labelled synthetic drawing: {entry.name}")
    if with_labels and notes:
        st.markdown(" · ".join(f"**{n}** {note}" for n, note in enumerate(notes, 1)))
    st.caption(
        f"Synthetic drawing, {side_of(entry.key):g} µm wide, with red cells of 7.5 µm. "
        "No two cells are alike:"
    )
    with st.grid(len(_VARIANTS), min_column_width=48, wrap=False, gap="xsmall"):
        for seed in _VARIANTS:
            embed_image(
                portrait_jpeg(entry.key, seed),
                width="stretch",
                alt=f"{entry.name}, another synthetic drawing",
            )


def show_facts(atlas: Atlas, entry: Entry) -> None:
    """List other names, size, normal range and the type of a subtype."""
    facts = {"Size": entry.size_text}
    if entry.also:
        facts["Also called"] = "; ".join(entry.also)
    if entry.type != entry.key:
        facts["Counted as"] = atlas.entries[entry.type].name
    facts["Normal"] = entry.normal or normal_range(entry.key) or "See the type that it belongs to."
    st.table(facts, border="horizontal", alt=f"Facts: {entry.name}")


def normal_range(key: str) -> str | None:
    """Return the reference ranges in force of a cell type; None where there is none."""
    try:
        ranges = ranges_in_force(get_database())
    except LeukoscopeError:
        return None
    lines = {unit: ranges.of(unit).get(key) for unit in _UNITS}
    found = [f"{line.text} {_UNITS[unit]}" for unit, line in lines.items() if line]
    return f"{'; '.join(found)} ({ranges.title})" if found else None


def show_attributes(entry: Entry) -> None:
    """Show the eleven attributes in words, beside what was seen in labelled cells."""
    st.header("Feature by feature")
    st.page_link(
        "pages/attributes.py", label="What the features mean", icon=":material/scatter_plot:"
    )
    seen = observed().get(entry.key, {})
    table = {
        "Feature": list(TITLES.values()),
        "Typical": [f"**{in_words(name, entry.attributes[name])}**" for name in TITLES],
    }
    if seen:
        cells = next(iter(seen.values())).total()
        table[f"Seen in {cells:,} labelled cells"] = [
            observed_text(seen[name], name) for name in TITLES
        ]
    st.table(table, border="horizontal", hide_index=True, alt=f"Attributes: {entry.name}")
    st.caption(
        "The eleven attributes of WBCAtt (Tsutsui et al. 2023)."
        + (" Shares of PBC cells of healthy donors; below 5 % left out." if seen else "")
    )


def show_look_alikes(atlas: Atlas, entry: Entry) -> None:
    """Show each look-alike beside the entry, and what the model mistakes it for."""
    st.header("Look-alikes")
    with st.grid("auto", min_column_width=330):
        for similar in entry.look_alikes:
            other = atlas.entries[similar.key]
            side = max(side_of(entry.key), side_of(other.key))
            with st.container(border=True):
                one, two = st.columns(2, gap="small", wrap=False)
                for place, shown in ((one, entry), (two, other)):
                    place.image(
                        portrait_jpeg(shown.key, size=MEDIUM, side=side),
                        caption=shown.name,
                        width="stretch",
                        alt=f"{shown.name}, synthetic",
                    )
                st.markdown(similar.difference)
                st.page_link(
                    PAGE,
                    label=f"Compare with {other.phrase}",
                    icon=":material/compare:",
                    query_params={"cell": entry.key, "with": other.key},
                )
    if entry.key in CELL_TYPES:
        show_confusions(entry)


def show_confusions(entry: Entry) -> None:
    """Say what the shipped model takes cells of this type for."""
    try:
        found = _confusions(str(get_settings().models)).get(entry.key)
    except ModelError:
        return
    if found is None:
        return
    wrong = ", ".join(f"{label_name(other).lower()} ({cells})" for other, cells in found.others[:4])
    share = sum(cells for _, cells in found.others) / found.cells
    st.info(
        f"Of {found.cells:,} test cells of this type, {100 * share:.1f} % were given another "
        f"likeliest type"
        + (f", most often: {wrong}." if wrong else ".")
        + " Cells of four sets, other laboratories among them.",
        title="What the model confuses it with",
        icon=":material/psychology:",
    )


def show_causes(entry: Entry) -> None:
    """List what raises and lowers the count."""
    if not entry.raised:
        return
    columns = [("Raised in" if entry.lowered else "Seen in", entry.raised)]
    if entry.lowered:
        columns.append(("Lowered in", entry.lowered))
    places = st.columns(len(columns), gap="large")
    for place, (title, causes) in zip(places, columns, strict=True):
        with place:
            st.header(title)
            st.markdown("\n".join(f"- {cause}" for cause in causes))


def show_real_cells(entry: Entry) -> None:
    """Show real cells of this type, and how to get those that are not on this machine."""
    if entry.key in RED_CELLS or entry.key in STAGES:
        return
    st.header("Real cells")
    cells = reference_cells(entry.key, _REAL, MEDIUM, Reviewed(), synthetic=False)
    with st.grid("auto", min_column_width=140):
        for cell in cells:
            with st.container(gap="xxsmall"):
                embed_image(cell.jpeg, width="stretch", alt=f"{entry.name}, {cell.origin}")
                st.caption(cell.origin)
    if cells:
        st.caption(f"{credits_of(cells)} {SIDE_MICROMETRES:g} µm wide.")
    elif not public_cells(entry.key):
        st.caption("No public set here has cells of this type. Only synthetic drawings are shown.")
    offer_reference_cells([entry.key])
