"""The page Explain: one cell, what the model suggests and why, and what it resembles."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from core.domain.decision import without_certainty
from core.domain.probability import probability_text
from core.domain.results import CropResult, FieldImage, ImageProperties, Pixels
from core.domain.taxonomy import CELL_TYPES, MATURE_FIVE, label_name
from core.errors import AtlasError, InputError, LeukoscopeError
from core.imaging.crop import crop_square
from core.imaging.overlay import cam_overlay
from core.imaging.preview import preview_jpeg
from core.imaging.read import display_name, read_images
from core.inference.cell_classifier import CellPrediction
from core.inference.explain import explain_cell
from core.inference.pipeline import Analyzer, ExaminedCell
from core.model_card import load_card
from core.synthetic.portraits import draw_portrait
from core.teaching.atlas import Atlas, Entry, differences
from core.teaching.attributes import TITLES, in_words
from core.teaching.cell_map import CellMap, get_map
from core.teaching.explanation import Evidence, weigh
from core.teaching.reference_cells import CREDIT, shuffled
from ui.atlas.images import LARGE, member_example, member_jpeg, pbc_if_here
from ui.components.fetch import offer_set
from ui.components.shared import plain

UPLOAD, REAL, DRAWN = "upload", "real", "drawn"
_SOURCES = {REAL: "Real cell", DRAWN: "Synthetic drawing", UPLOAD: "Your own image"}
_NEAREST = 8
_SIDE = 360
_UNLIKE = (
    "This image is unlike the training images: another stain, camera, magnification, or no "
    "photograph of a cell. What follows may be wrong in every point."
)


@dataclass(frozen=True, slots=True, eq=False)
class ChosenCell:
    """A cell to explain."""

    image: FieldImage
    identity: str
    """What it is, for the session: a change begins anew."""
    known: Entry | None = None
    """What the cell is, where somebody said so."""
    said_by: str = ""
    """Who said so, in a sentence."""
    member: str | None = None
    """Its name in PBC."""


def choose_cell(atlas: Atlas) -> ChosenCell | None:
    """Let the reader choose or upload a cell; None when there is none yet."""
    if name := st.query_params.get("image"):
        if chosen := _from_map(atlas, name):
            st.button("Choose another cell", icon=":material/arrow_back:", on_click=_forget_choice)
            return chosen
        st.warning(
            "This cell is not on this machine. Choose another.", icon=":material/search_off:"
        )
    first = REAL if pbc_if_here() else DRAWN
    source = st.segmented_control(
        "Cell",
        list(_SOURCES),
        format_func=_SOURCES.__getitem__,
        default=first,
        required=True,
        key="explain_source",
        persist_state="session",
    )
    if source == UPLOAD:
        return _uploaded()
    return _drawn(atlas) if source == DRAWN else _real(atlas)


def _forget_choice() -> None:
    st.query_params.pop("image", None)


def _image_of(pixels: Pixels, identity: str) -> FieldImage:
    return FieldImage("cell", pixels, identity, ImageProperties("PNG", "RGB", 8, 0))


def _from_map(atlas: Atlas, name: str) -> ChosenCell | None:
    cell = next((cell for cell in get_map().cells if cell.name == name), None)
    example = member_example(cell.member) if cell else None
    cells = pbc_if_here()
    if cell is None or example is None or cells is None:
        return None
    said = "PBC's authors label it so. The model was trained on this cell."
    image = _image_of(cells.read(example), name)
    return ChosenCell(image, name, atlas.entries[cell.entry], said, cell.member)


def _step(key: str) -> None:
    st.session_state[key] = st.session_state.get(key, 0) + 1


def _choice(atlas: Atlas, keys: Sequence[str], name: str) -> tuple[str, int]:
    """Let the reader choose a type and go on to its next cell; return the type and a number."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen: str = st.selectbox(
            "Type",
            keys,
            format_func=lambda key: atlas.entries[key].name,
            key=f"explain_{name}_type",
            persist_state="session",
            width=280,
        )
        number = f"explain_{name}_number"
        st.button("Another one", key=f"explain_{name}_next", on_click=_step, args=(number,))
    return chosen, int(st.session_state.get(number, 0))


def _real(atlas: Atlas) -> ChosenCell | None:
    cells = pbc_if_here()
    if cells is None:
        offer_set("pbc", "explain_pbc")
        return None
    test = cells.of_split("test")
    present = [key for key in CELL_TYPES if any(e.label == key for e in test)]
    chosen, number = _choice(atlas, present, REAL)
    of_type = sorted((e for e in test if e.label == chosen), key=shuffled)
    example = of_type[number % len(of_type)]
    return ChosenCell(
        _image_of(cells.read(example), example.member),
        example.member,
        atlas.entries[example.subtype or chosen],
        "PBC's authors label it so. The model never saw this cell in training.",
        example.member,
    )


def _drawn(atlas: Atlas) -> ChosenCell:
    keys = [key for key, entry in atlas.entries.items() if entry.attributes]
    chosen, number = _choice(atlas, keys, DRAWN)
    seed = number + 1
    st.caption("A drawing to learn from. The model learnt photographs and may well misread it.")
    pixels = draw_portrait(chosen, seed, 256).pixels
    identity = f"{chosen} {seed}"
    return ChosenCell(
        _image_of(pixels, identity), identity, atlas.entries[chosen], "Drawn as such."
    )


def _uploaded() -> ChosenCell | None:
    file = st.file_uploader(
        "One image with one cell in its middle",
        key="explain_upload",
        help="The image stays in the memory of this server until you remove it or close the page.",
    )
    if file is None:
        st.info(
            "Crop the image to one white cell with some red cells around it, about 25 to 35 µm "
            "wide. For a whole field use WBC count.",
            icon=":material/crop:",
        )
        return None
    try:
        images = read_images(file.getvalue(), display_name(file.name))
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    image = images[0]
    if len(images) > 1:
        page = st.selectbox("Image of the file", range(len(images)), format_func=lambda i: i + 1)
        image = images[page]
    return ChosenCell(image, f"{image.sha256} {image.page}")


def examined(analyzer: Analyzer, chosen: ChosenCell) -> ExaminedCell:
    """Return what the models say of a cell; kept in this visit only, as it may be a patient's."""
    kept = st.session_state.get("explain_examined")
    if kept is None or kept[0] != chosen.identity:
        with st.spinner("Looking at the cell"):
            kept = chosen.identity, analyzer.examine_cell(chosen.image)
        st.session_state["explain_examined"] = kept
    found: ExaminedCell = kept[1]
    return found


def show_explanation(atlas: Atlas, chosen: ChosenCell, cell: ExaminedCell) -> None:
    """Show everything about a cell, doubts first."""
    result = cell.result
    if result.reject_reason:
        st.error(result.reject_reason, title="Not analysed", icon=":material/block:")
        st.image(preview_jpeg(chosen.image.pixels, _SIDE), alt="The image as it came")
        return
    assert cell.prediction is not None
    assert result.type is not None
    if not result.in_distribution:
        st.warning(_UNLIKE, title="Unlike the training images", icon=":material/help:")
    for sentence in result.warnings:
        st.warning(plain(sentence), icon=":material/warning:")
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        _show_pictures(chosen, cell)
    with right:
        _show_suggestion(atlas, chosen, result)
    entry = atlas.entries[result.subtype or result.type]
    if entry.attributes:
        _show_attributes(entry, cell.prediction, result.type)
    _show_other(atlas, entry, cell.prediction)
    _show_nearest(cell.prediction, chosen)


def _show_pictures(chosen: ChosenCell, cell: ExaminedCell) -> None:
    assert cell.region is not None
    assert cell.result.type is not None
    crop = crop_square(cell.pixels, cell.region.box, cell.region.crop_side, LARGE)
    seen, where = st.columns(2, gap="small", wrap=False)
    seen.image(preview_jpeg(crop), caption="The cell", width="stretch", alt="The cell, cropped")
    try:
        small, cam = explain_cell(cell.pixels, cell.region, cell.result.type)
    except LeukoscopeError as error:
        where.error(plain(str(error)))
        return
    where.image(
        preview_jpeg(cam_overlay(small, cam)),
        caption="Where the model looks",
        width="stretch",
        alt="The cell under its class activation map",
    )
    st.caption(
        f"Right: class activation map for {label_name(cell.result.type).lower()}. Yellow raised "
        "the score of the type most. It shows where, never why."
        + (f" {CREDIT}" if chosen.member else "")
    )


def _show_suggestion(atlas: Atlas, chosen: ChosenCell, result: CropResult) -> None:
    assert result.type is not None
    status = result.status if result.in_distribution else without_certainty(result.status)
    name = label_name(result.type)
    if result.type == "blast" and status != "out_of_scope":
        doubt = "" if status == "classified" else " The model is uncertain."
        st.error(
            f"Likeliest: blast, {probability_text(result.confidence)}.{doubt} Have a specialist "
            "look at this cell. The image of one cell establishes no diagnosis.",
            title="Possible blast",
            icon=":material/priority_high:",
        )
    elif status == "out_of_scope":
        st.warning(
            f"The model takes this for no white cell that counts. Likeliest type: {name.lower()}, "
            f"{probability_text(result.confidence)}.",
            title="Out of scope",
            icon=":material/block:",
        )
    elif status == "uncertain":
        why = (
            "Not enough to count the cell without a person."
            if result.in_distribution
            else "Nothing about an image unlike the training images is certain."
        )
        st.warning(
            f"Likeliest: {name.lower()}, {probability_text(result.confidence)}. {why}",
            title="Uncertain",
            icon=":material/help:",
        )
    else:
        subtype = f", likely {label_name(result.subtype).lower()}" if result.subtype else ""
        st.success(
            f"{name}{subtype}: {probability_text(result.confidence)}.",
            title="Suggested type",
            icon=":material/check_circle:",
        )
    _say_what_is_known(chosen, result)
    likeliest = sorted(result.probabilities.items(), key=lambda item: -item[1])[:4]
    st.table(
        {atlas.entries[key].name: plain(probability_text(p)) for key, p in likeliest},
        border="horizontal",
        alt="Likeliest types",
    )
    st.caption(
        "Calibrated on the training laboratories."
        if result.in_distribution
        else "Flattened, because the image is unlike the training images."
    )


def _say_what_is_known(chosen: ChosenCell, result: CropResult) -> None:
    if chosen.known is None:
        return
    agrees = chosen.known.type == result.type
    sentence = f"This is a {chosen.known.phrase}. {chosen.said_by}"
    if agrees:
        st.info(sentence, icon=":material/label:")
    else:
        st.error(f"{sentence} The model is wrong here.", icon=":material/label:")


def _show_attributes(entry: Entry, said: CellPrediction, cell_type: str) -> None:
    st.header("What the model reads in it")
    read = said.attribute_probabilities
    values = {name: max(read[name], key=read[name].__getitem__) for name in TITLES}
    st.table(
        {
            "Feature": list(TITLES.values()),
            "Read": [f"**{in_words(n, [values[n]])}**" for n in TITLES],
            "Probability": [plain(probability_text(read[n][values[n]], 0)) for n in TITLES],
            f"Usual in {entry.phrase}": [
                _marked(in_words(n, entry.attributes[n]), values[n] in entry.attributes[n])
                for n in TITLES
            ],
        },
        border="horizontal",
        hide_index=True,
        alt="Attributes of the cell",
    )
    learnt = (
        ""
        if cell_type in MATURE_FIVE
        else f" The model learnt attributes on the five mature types only: for "
        f"{label_name(cell_type).lower()}s they are a guess."
    )
    st.caption(f"Probabilities of attributes are not calibrated. ≠: unusual for the type.{learnt}")


def _marked(usual: str, fits: bool) -> str:
    return usual if fits else f"≠ {usual}"


def _show_other(atlas: Atlas, entry: Entry, said: CellPrediction) -> None:
    st.header("What would make it another type?")
    order = sorted(said.probabilities, key=said.probabilities.__getitem__, reverse=True)
    others = [key for key in order if key != entry.type]
    chosen: str = st.selectbox(
        "Compare with",
        others,
        format_func=lambda key: (
            f"{atlas.entries[key].name} ({probability_text(said.probabilities[key])})"
        ),
        key=f"explain_other_{entry.key}",
        width=320,
    )
    other = atlas.entries[chosen]
    texts = differences(atlas, entry, other)
    if texts:
        st.info("\n\n".join(texts), title="How to tell them apart", icon=":material/compare:")
    evidence = weigh(said.attribute_probabilities, entry, other)
    if evidence:
        _show_evidence(entry, other, evidence)
    elif not texts:
        st.caption(f"The atlas does not describe the {other.phrase} by these attributes.")
    st.page_link(
        "pages/atlas.py",
        label=f"Compare {entry.phrase} with {other.phrase}",
        icon=":material/compare:",
        query_params={"cell": entry.key, "with": other.key},
    )


def _show_evidence(entry: Entry, other: Entry, evidence: list[Evidence]) -> None:
    separating = [one for one in evidence if one.separates]
    if separating:
        wanted = "; ".join(
            f"{TITLES[one.attribute].lower()} {in_words(one.attribute, one.usual_of_other)}"
            for one in separating
        )
        st.markdown(f"A typical {other.phrase} would show: **{wanted}**.")
    names = entry.name, other.name
    telling = [one for one in evidence if one.speaks_for is not None]
    if not telling:
        st.caption("No attribute read in this cell speaks clearly for either of the two.")
        return
    st.table(
        {
            "Feature": [TITLES[one.attribute] for one in telling],
            "Read in this cell": [in_words(one.attribute, [one.value]) for one in telling],
            "Speaks for": [
                f"**{names[one.speaks_for]}**" for one in telling if one.speaks_for is not None
            ],
            "Usual there": [
                in_words(one.attribute, one.usual_of_other if one.speaks_for else one.usual)
                for one in telling
            ],
        },
        border="horizontal",
        hide_index=True,
        alt=f"Evidence for {entry.phrase} and {other.phrase}",
    )
    st.caption(
        "Strongest first: how much more frequent what was read is in one of the two types, by "
        "labelled PBC cells, else by the atlas. The network decides by the image, not by this list."
    )


def _show_nearest(said: CellPrediction, chosen: ChosenCell) -> None:
    st.header("The most similar training cells")
    try:
        cell_map = get_map()
        _check_model(cell_map)
    except LeukoscopeError as error:
        st.warning(plain(str(error)), icon=":material/error:")
        return
    near = [
        cell_map.cells[i]
        for i in cell_map.nearest(said.features, _NEAREST, apart_from=chosen.member)
    ]
    counted = {name: sum(c.type == name for c in near) for name in {c.type for c in near}}
    by_type = ", ".join(
        f"{n} {CELL_TYPES[key].noun(n)}" for key, n in sorted(counted.items(), key=lambda i: -i[1])
    )
    st.markdown(f"Of the {_NEAREST} nearest of {len(cell_map.cells):,} cells: **{by_type}**.")
    with st.grid("auto", min_column_width=140):
        for cell in near:
            with st.container(border=True, gap="xsmall", height="stretch"):
                if jpeg := member_jpeg(cell.member):
                    st.image(jpeg, width="stretch", alt=f"{label_name(cell.entry)}, {cell.name}")
                st.page_link(
                    "pages/attributes.py",
                    label=label_name(cell.entry),
                    query_params={"view": "map", "image": cell.name},
                )
                if cell.attributes:
                    st.caption(
                        f"Nucleus {in_words('nucleus_shape', [cell.attributes['nucleus_shape']])}"
                    )
    st.caption(
        "Nearest by the features of the network's last layer. There are always eight, however "
        "unlike they are: blasts and smudge cells are not among these cells."
        + (f" {CREDIT}" if pbc_if_here() else "")
    )


def _check_model(cell_map: CellMap) -> None:
    if cell_map.model_sha256 != load_card("wbc").sha256:
        raise AtlasError(
            "The map of cells was computed with another version of the cell classifier, so nothing "
            "can be compared with it. Compute it again with `make atlas`."
        )
