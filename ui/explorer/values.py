"""One attribute: what it means, pictures of its values, how frequent they are by type."""

import streamlit as st

from core.charts.attributes import values_figure
from core.domain.taxonomy import MATURE_FIVE
from core.teaching.atlas import Atlas
from core.teaching.attributes import TITLES, Attribute, explained, in_words, observed
from core.teaching.reference_cells import CREDIT
from ui.atlas.images import MEDIUM, pbc_if_here, portrait_jpeg, value_jpegs
from ui.components.fetch import offer_set
from ui.components.shared import chart, embed_image, shown_width

_REAL, _THUMB = 3, 76
_FIRST = "nucleus_shape"
_PARAMETER = "attribute"


def show_attributes(atlas: Atlas) -> None:
    """Let the reader choose an attribute and show it."""
    known = st.query_params.get(_PARAMETER)
    key = "explorer_attribute"
    # The address decides: a link must not find the choice of an earlier visit.
    st.session_state[key] = known if known in TITLES else _FIRST

    def changed() -> None:
        st.query_params[_PARAMETER] = st.session_state[key]

    chosen = st.pills(
        "Attribute",
        list(TITLES),
        format_func=TITLES.__getitem__,
        key=key,
        on_change=changed,
        required=True,
    )
    attribute = explained()[chosen or _FIRST]
    st.header(TITLES[attribute.name])
    st.markdown(attribute.about)
    _show_values(atlas, attribute)
    if pbc_if_here():
        st.caption(f"Large: synthetic drawings. Small: {CREDIT[0].lower()}{CREDIT[1:]}")
    else:
        st.caption("Synthetic drawings, 24 µm wide.")
        offer_set("pbc", "explorer_pbc")
    _show_shares(atlas, attribute)


def _show_values(atlas: Atlas, attribute: Attribute) -> None:
    with st.grid("auto", min_column_width=220):
        for value, explanation in attribute.values.items():
            entry = atlas.entries[explanation.drawing[0]]
            words = in_words(attribute.name, [value])
            with st.container(border=True, height="stretch", gap="small"):
                st.markdown(f"**{words[:1].upper()}{words[1:]}**")
                embed_image(
                    portrait_jpeg(*explanation.drawing, size=MEDIUM),
                    width="stretch",
                    alt=f"{TITLES[attribute.name]} {words}: {entry.name}, synthetic",
                )
                st.markdown(explanation.about)
                if real := value_jpegs(attribute.name, value, _REAL):
                    with st.container(horizontal=True, wrap=False, gap="xsmall"):
                        for number, jpeg in enumerate(real, 1):
                            embed_image(jpeg, width=_THUMB, alt=f"Real cell {number}, {words}")
                st.page_link(
                    "pages/attributes.py",
                    label="Cells with it on the map",
                    icon=":material/scatter_plot:",
                    query_params={"view": "map", "value": f"{attribute.name}:{value}"},
                )


def _show_shares(atlas: Atlas, attribute: Attribute) -> None:
    seen = observed()
    shares, cells = {}, 0
    for cell_type in MATURE_FIVE:
        if counted := seen.get(cell_type, {}).get(attribute.name):
            total = counted.total()
            cells += total
            name = atlas.entries[cell_type].name
            shares[name] = {value: 100 * n / total for value, n in counted.items()}
    st.header("How often, by type")
    words = {value: in_words(attribute.name, [value]) for value in attribute.values}
    figure = values_figure(shares, words, shown_width(900))
    alt = f"{TITLES[attribute.name]} by cell type, percent of labelled cells"
    chart(figure, "explorer_shares", alt)
    st.caption(
        f"{cells:,} cells of healthy donors (PBC), labelled by the authors of WBCAtt (Tsutsui et "
        "al. 2023). Other types have no such labels."
    )
