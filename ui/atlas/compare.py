"""Two entries of the atlas side by side."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.synthetic.portraits import side_of
from core.teaching.atlas import Atlas, Entry, difference
from core.teaching.attributes import TITLES, in_words
from core.teaching.tours import ComparisonStep
from ui.atlas.entry import normal_range
from ui.atlas.grid import PAGE
from ui.atlas.images import MEDIUM, labelled_jpeg, portrait_jpeg
from ui.components.shared import embed_image
from ui.components.tours import lecture_row


def show_comparison(atlas: Atlas, one: Entry, other: Entry) -> None:
    """Show two entries: pictures at one scale, how to tell them apart, feature by feature."""
    st.page_link(PAGE, label="All types", icon=":material/grid_view:")
    if one.key != other.key:
        address = {"cell": one.key, "with": other.key}
        lecture_row(ComparisonStep(cell=one.key, other=other.key), address)
    chosen = [
        _choice(atlas, place, label, entry, parameter)
        for place, label, entry, parameter in zip(
            st.columns(2), ("This cell", "With"), (one, other), ("cell", "with"), strict=True
        )
    ]
    if text := difference(*chosen):
        st.info(text, title="How to tell them apart", icon=":material/compare:")
    side = max(side_of(entry.key) for entry in chosen)
    for place, entry in zip(st.columns(2, gap="medium", wrap=False), chosen, strict=True):
        with place:
            _show_side(entry, side)
    st.caption(f"Synthetic drawings at one scale, {side:g} µm wide, with red cells of 7.5 µm.")
    st.header("Feature by feature")
    st.table(
        _features(*chosen),
        border="horizontal",
        hide_index=True,
        alt=f"{chosen[0].name} and {chosen[1].name}, feature by feature",
    )
    st.caption("Bold: where the two differ.")


def _choice(atlas: Atlas, place: DeltaGenerator, label: str, entry: Entry, parameter: str) -> Entry:
    key = f"atlas_compare_{parameter}"

    def changed() -> None:
        st.query_params[parameter] = st.session_state[key].key

    # The address decides: a link must not find the choice of an earlier visit.
    st.session_state[key] = entry
    chosen = place.selectbox(
        label,
        list(atlas.entries.values()),
        format_func=lambda choice: choice.name,
        key=key,
        on_change=changed,
    )
    assert isinstance(chosen, Entry)
    return chosen


def _show_side(entry: Entry, side: float) -> None:
    jpeg, notes = labelled_jpeg(entry.key, side=side)
    embed_image(jpeg, width="stretch", alt=f"Labelled synthetic drawing: {entry.name}")
    st.markdown(" · ".join(f"**{n}** {note}" for n, note in enumerate(notes, 1)))
    with st.grid(2, min_column_width=48, wrap=False, gap="xsmall"):
        for seed in (2, 3):
            embed_image(
                portrait_jpeg(entry.key, seed, MEDIUM, side),
                width="stretch",
                alt=f"{entry.name}, another synthetic drawing",
            )
    st.page_link(PAGE, label=f"Open {entry.name}", query_params={"cell": entry.key})


def _features(one: Entry, other: Entry) -> dict[str, list[str]]:
    rows = [("Size", one.size_text, other.size_text)]
    for name, title in TITLES.items():
        if name in one.attributes or name in other.attributes:
            rows.append((title, _usual(one, name), _usual(other, name)))
    rows.append(("Normal", _normal(one), _normal(other)))
    rows.append(("Seen in", "; ".join(one.raised[:3]), "; ".join(other.raised[:3])))
    second = other.name if other.name != one.name else f"{other.name} "  # columns differ in name
    return {
        "Feature": [title for title, _, _ in rows],
        one.name: [_marked(a, differs=a != b) for _, a, b in rows],
        second: [_marked(b, differs=a != b) for _, a, b in rows],
    }


def _usual(entry: Entry, attribute: str) -> str:
    values = entry.attributes.get(attribute)
    return in_words(attribute, values) if values else ""


def _normal(entry: Entry) -> str:
    return entry.normal or normal_range(entry.key) or ""


def _marked(text: str, *, differs: bool) -> str:
    return f"**{text}**" if text and differs else text
