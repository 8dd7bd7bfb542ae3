"""The pages as a user meets them: empty, with examples, with real fields, with bad files."""

import base64
import hashlib
import io
import json
import math
import re

import numpy as np
import pytest
import requests
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.domain.differential import differential
from core.domain.taxonomy import CELL_TYPES, RESEARCH_NOTICE, STAGES
from core.errors import DataError
from core.evaluation.corruptions import stain_strength, white_balance
from core.exports.tables import differentials_by_patient
from core.imaging.scale import is_whole
from core.inference.pipeline import get_analyzer
from core.inference.quality_control import SmearVerdict
from core.model_card import MODEL_NAMES
from core.settings import Settings, get_settings
from core.synthetic import examples
from tests.dicom_files import native, written
from tests.images import read_image
from tests.pages.app import (
    SECONDS,
    button,
    component_data,
    go_to,
    open_app,
    texts,
    upload,
)
from ui.count.intake import example_slides

WBC, STAGE = "wbc_count", "all_stage"


@pytest.fixture
def app() -> AppTest:
    return open_app()


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


@pytest.mark.parametrize("page", ["overview", WBC, STAGE])
def test_an_untouched_page_says_its_limits_and_shows_no_error(app, page):
    go_to(app, page)
    assert [c.value for c in app.caption].count(RESEARCH_NOTICE) == 1
    assert not app.error
    assert not app.metric


def test_overview_analyses_an_example_and_vouches_for_every_model(app):
    assert any("white cells typed" in c.value for c in app.caption)
    assert sum("file verified" in m.value for m in app.markdown) == len(MODEL_NAMES)


def test_overview_button_opens_the_analysed_examples(app):
    next(b for b in app.button if b.label == "Open example slides").click().run()
    assert not app.exception
    assert app.title[0].value == "WBC count"
    assert metrics(app)["Fields"] == "8"
    assert int(metrics(app)["White cells"]) > 0
    assert any("Answer key" in s.value for s in app.header)


def test_examples_are_read_on_where_another_event_cut_the_run_short(app):
    go_to(app, WBC)
    session = app.session_state["uploads"]
    session.pending = example_slides()
    session.handled.add(session.pending[0].key)
    app.run()
    assert not app.exception
    assert metrics(app)["Fields"] == "7"
    assert not session.pending


def test_real_fields_are_counted_and_a_bad_file_gets_its_sentence(app, pack):
    go_to(app, WBC)
    good = [(f"field_{i}.jpg", pack.jpeg(pack.bccd(i))) for i in (0, 10)]
    upload(app, good[0], ("notes.jpg", b"no image"), ("none.png", b""), good[1])
    assert metrics(app)["Fields"] == "2"
    assert int(metrics(app)["Red cells"]) >= 10
    (error,) = app.error
    assert "notes\\.jpg" in error.value
    assert "none\\.png" in error.value
    assert "empty" in error.value
    assert not app.file_uploader[0].value


def test_a_scale_that_the_cells_contradict_is_said(app, pack):
    wrong = 25_400 / 1.5
    field = pack.encoded(pack.bccd(3), "PNG", dpi=(wrong, wrong))
    upload(go_to(app, WBC), ("field.png", field))
    assert any("scale in the file, 1\\.5 µm per pixel" in w.value for w in app.warning)
    all_field = pack.read("taleqani_all.zip", pack.names("taleqani_all.zip", "Benign/")[0])
    field = pack.encoded(all_field, "PNG", dpi=(wrong, wrong))
    upload(go_to(app, STAGE), ("field.png", field))
    assert any("scale in the file, 1\\.5 µm per pixel" in w.value for w in app.warning)


@pytest.mark.parametrize(
    ("change", "is_unusual"),
    [
        (lambda pixels: pixels, False),
        # The light of a warm lamp is corrected; a much stronger stain is not.
        (lambda pixels: white_balance(pixels, 1.25, 0.75), False),
        (lambda pixels: stain_strength(pixels, 2.2), True),
    ],
    ids=["as taken", "warm lamp", "strong stain"],
)
def test_a_field_of_unusual_colours_gets_a_warning(app, pack, change, is_unusual):
    pixels = np.asarray(Image.open(io.BytesIO(pack.encoded(pack.bccd(3), "PNG"))))
    stream = io.BytesIO()
    Image.fromarray(change(pixels)).save(stream, "PNG")
    field = stream.getvalue()
    upload(go_to(app, WBC), ("field.png", field))
    assert any("differ in colour or sharpness" in w.value for w in app.warning) == is_unusual
    assert ("unlike the training images" in texts(app)) == is_unusual


def test_the_differential_comes_before_the_gallery_and_names_the_models_own_error(app, pack):
    upload(go_to(app, WBC), ("field.jpg", pack.jpeg(pack.bccd(3))))
    heads = [s.value for s in app.header]
    assert heads.index("Differential") < heads.index("White cells")
    assert any("calls right on CellaVision" in c.value for c in app.caption)


def test_flags_are_shown_of_one_patient(database):
    def page(flagged: bool) -> None:
        from core.synthetic.examples import synthetic_slides
        from tests.cases.made import analysis_of, white
        from tests.images import read_image
        from ui.count.results import show_differential

        name, data = synthetic_slides()[0]
        cells = [white("neutrophil")] * 95 + [white("lymphocyte")] * 5
        show_differential([analysis_of(read_image(data, name), *cells)], flagged=flagged)

    one, several = (
        AppTest.from_function(page, args=(flagged,), default_timeout=SECONDS).run()
        for flagged in (True, False)
    )
    assert not one.exception
    assert any("above the range" in m.value and "warning" in m.value for m in one.markdown)
    assert not several.exception
    assert not any("above the range" in m.value for m in several.markdown)


def test_results_stay_when_the_page_is_left(app, pack):
    go_to(app, WBC)
    before = metrics(upload(app, ("field.jpg", pack.jpeg(pack.bccd(3)))))
    go_to(app, STAGE)
    assert metrics(go_to(app, WBC)) == before
    next(b for b in app.button if b.label == "Clear all").click().run()
    assert not app.metric


def test_the_same_image_twice_is_counted_once(app, pack):
    field = pack.jpeg(pack.bccd(3))
    upload(go_to(app, WBC), ("first.jpg", field), ("copy.jpg", field))
    assert metrics(app)["Fields"] == "1"
    assert any("copy\\.jpg" in note.value for note in app.info)


def test_a_warning_is_said_once_of_all_fields_that_have_it(app, pack):
    names = [n for n in pack.names("taleqani_all.zip") if n.startswith("Pro/") or "/Pro/" in n]
    fields = [pack.png(pack.read("taleqani_all.zip", name)) for name in names[:450:150]]
    upload(go_to(app, WBC), *((f"{k}.png", field) for k, field in enumerate(fields)))
    said = "\n".join(w.value for w in app.warning if w.value.startswith("- "))
    (line,) = [line for line in said.splitlines() if "too small to be typed" in line]
    assert line.count("png") > 1


def test_a_rejected_image_can_be_forced_and_stays_marked(app, pack):
    stream = io.BytesIO()
    with Image.open(io.BytesIO(pack.bccd(3))) as image:
        image.convert("L").save(stream, "PNG")
    upload(go_to(app, WBC), ("grey.png", stream.getvalue()))
    # Rejected images are not searched, so no cells are reported as missing.
    assert not app.metric
    assert not any("No white cells" in note.value for note in app.info)
    assert any("1 image rejected" in m.value for m in app.markdown)
    assert app.data_editor[0].value["wbc"].isna().all()
    (warning, *_) = app.warning
    assert "no stain colours" in warning.value
    next(b for b in app.button if b.label == "Analyse anyway").click().run()
    assert not app.exception
    assert int(metrics(app)["Red cells"]) > 0
    assert any("against quality control" in str(w.proto) for w in app.warning)
    assert not any(b.label == "Analyse anyway" for b in app.button)


def test_a_doubtful_image_can_be_forced_and_stays_marked(app, pack, monkeypatch):
    monkeypatch.setattr(
        get_analyzer().smear_classifier,
        "judge",
        lambda *_: SmearVerdict(doubt="It hardly is a smear."),
    )
    upload(go_to(app, WBC), ("field.jpg", pack.jpeg(pack.bccd(3))))
    assert any("nothing is classified" in w.value for w in app.warning)
    assert any("no white cell classified" in m.value for m in app.markdown)
    button(app, "Classify anyway").click().run()
    assert not app.exception
    assert any("1 white cell classified" in m.value for m in app.markdown)
    said = [w.value for w in app.warning]
    assert any(value.endswith("This hardly looks like a stained blood smear.") for value in said)
    assert not any("nothing is classified" in value for value in said)
    assert not any(b.label == "Classify anyway" for b in app.button)


def test_images_of_a_folder_are_read_whatever_their_names_and_other_files_named(app, pack):
    go_to(app, WBC)
    app.segmented_control(key="wbc_source").set_value("Folder").run()
    dicom = written(native(read_image(pack.png(pack.bccd(3)), "field.png").pixels))
    upload(app, ("IM0001", dicom), ("notes.txt", b"seen twice"), (".thumbs", b"\0" * 300))
    assert metrics(app)["Fields"] == "1"
    assert not app.error
    (said,) = [i for i in app.info if "add it under Files" in i.value]
    assert said.value.startswith("notes\\.txt, \\.thumbs.")


def test_a_workbook_stands_beside_every_csv(app, pack):
    first, second = (("a.jpg", pack.jpeg(pack.bccd(0))), ("b.jpg", pack.jpeg(pack.bccd(1))))
    go_to(app, WBC)
    app.text_input(key="wbc_patient").set_value("P-1").run()
    upload(app, first)
    app.text_input(key="wbc_patient").set_value("P-2").run()
    upload(app, second)
    app.selectbox(key="wbc_chosen").select("All 2 patients").run()
    labels = [b.label for b in app.get("download_button")]
    assert labels[:4] == ["Workbook, XLSX", "Differential, CSV", "Cells, CSV", "Files, CSV"]
    images = list(app.session_state["uploads"].images.values())
    counted = differentials_by_patient([i.result for i in images], [i.patient for i in images])
    assert list(counted) == ["P-1", "P-2"]
    for image in images:
        assert counted[image.patient] == differential([image.result])


def test_a_single_image_is_removed(app, pack):
    upload(go_to(app, WBC), *((f"{i}.jpg", pack.jpeg(pack.bccd(i))) for i in (0, 10)))
    next(b for b in app.button if b.label == "Remove this image").click().run()
    assert metrics(app)["Fields"] == "1"
    assert component_data(app, "cells")["title"].startswith("Field 10.jpg with ")


def test_patients_are_kept_apart(app, pack):
    go_to(app, WBC)
    for patient, number in (("A", 0), ("B", 10)):
        app.text_input(key="wbc_patient").set_value(patient).run()
        upload(app, (f"{patient}.jpg", pack.jpeg(pack.bccd(number))))
    assert app.selectbox(key="wbc_chosen").options == ["A", "B", "All 2 patients"]
    assert app.selectbox(key="wbc_chosen").value == "B"
    assert metrics(app)["Fields"] == "1"
    app.selectbox(key="wbc_chosen").select("All 2 patients").run()
    assert metrics(app)["Fields"] == "2"
    assert list(app.data_editor[0].value["patient"]) == ["A", "B"]


def test_a_patient_is_corrected_in_the_table(app, pack):
    upload(go_to(app, WBC), *((f"{i}.jpg", pack.jpeg(pack.bccd(i))) for i in (0, 10)))
    app.session_state["wbc_files"] = {
        "edited_rows": {1: {"patient": "B-7"}},
        "added_rows": [],
        "deleted_rows": [],
    }
    app.run()
    assert list(app.data_editor[0].value["patient"]) == ["Unnamed", "B-7"]


def test_a_step_to_the_next_field_shows_it(app, pack):
    upload(go_to(app, WBC), *((f"{i}.jpg", pack.jpeg(pack.bccd(i))) for i in (0, 10)))
    next(b for b in app.button if b.label == "Next").click().run()
    assert app.selectbox(key="wbc_field").value == 1
    assert component_data(app, "cells")["title"].startswith("Field 10.jpg with ")


def test_all_fields_get_a_pooled_answer_and_a_bad_one_its_sentence(app, pack):
    names = pack.names("taleqani_all.zip")
    fields = [n for n in names if n.endswith(".webp") and "Pre" in n][:2]
    files = [(f"{i}.png", pack.png(pack.read("taleqani_all.zip", n))) for i, n in enumerate(fields)]
    upload(go_to(app, STAGE), *files, ("bad.tif", b"II*\0"))
    urgent, unread = app.error
    assert "possible blast" in urgent.value
    assert "bad\\.tif" in unread.value
    assert any(s.value == "Pooled answer" for s in app.header)
    assert any("2 graded fields" in c.value for c in app.caption)
    table = app.data_editor[0].value
    assert table[[f"p_{key}" for key in STAGES]].sum(axis=1).tolist() == pytest.approx(
        [100, 100], abs=0.1
    )


def test_fields_of_different_classes_are_said_to_disagree(app, pack):
    fields = [f"{key}/WBC-Malignant-{key}-{n}.webp" for key, n in (("Pre", 161), ("Pro", 298))]
    files = [(n.rpartition("/")[2], pack.read("taleqani_all.zip", n)) for n in fields]
    upload(go_to(app, STAGE), files[0])
    assert not app.warning
    upload(app, files[1])
    (warning,) = app.warning
    assert "do not agree: 1 Pre-B ALL, 1 Pro-B ALL" in warning.value


def test_a_rejected_field_gets_no_probabilities(app, pack):
    stream = io.BytesIO()
    with Image.open(io.BytesIO(pack.bccd(3))) as image:
        image.convert("L").save(stream, "PNG")
    upload(go_to(app, STAGE), ("grey.png", stream.getvalue()))
    (row,) = app.data_editor[0].value.to_dict("records")
    assert row["status"] == "rejected"
    assert all(math.isnan(row[f"p_{key}"]) for key in STAGES)


def test_missing_models_are_named_and_the_page_stays_whole(tmp_path, monkeypatch):
    from core.inference.pipeline import get_analyzer

    monkeypatch.setenv("LEUKOSCOPE_MODELS", str(tmp_path))
    get_settings.cache_clear()
    get_analyzer.cache_clear()
    try:
        app = open_app(WBC)
        (error,) = app.error
        assert "detector" in error.value
        assert "Restore" in error.value
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
        get_analyzer.cache_clear()


def test_real_examples_come_from_the_net_once(tmp_path, monkeypatch):
    asked = []

    class Answer:
        content = b"jpeg"

        def raise_for_status(self) -> None:
            pass

    def get(_session, address, **_options):
        asked.append(address)
        return Answer()

    monkeypatch.setattr(requests.Session, "get", get)
    settings = Settings(data=tmp_path)
    first = examples.bccd_fields(settings=settings)
    assert first == examples.bccd_fields(settings=settings)
    assert len(asked) == len(first) == 12


def test_without_a_network_the_page_says_so(app, tmp_path, monkeypatch):
    def get(_session, _address, **_options):
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "get", get)
    with pytest.raises(DataError):
        examples.bccd_fields(settings=Settings(data=tmp_path))
    go_to(app, WBC)
    monkeypatch.setattr(get_settings(), "data", tmp_path)
    next(b for b in app.button if "real BCCD" in b.label).click().run()
    assert not app.exception
    assert "cannot reach" in app.error[0].value


def test_synthetic_truth_belongs_to_the_synthetic_slides():
    slides = examples.synthetic_slides()
    truth = examples.synthetic_truth()
    assert {hashlib.sha256(data).hexdigest() for _, data in slides} == truth.keys()
    assert json.dumps(truth)


def test_a_site_profile_is_used_only_when_chosen(app, pack, tmp_path, monkeypatch):
    import numpy as np

    from core.adaptation.site import SiteCells, adapt, save_profile
    from core.inference.pipeline import get_analyzer

    monkeypatch.setattr(get_settings(), "store", tmp_path)
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 6)
    cells = SiteCells(rng.normal(0, 1, (12, len(CELL_TYPES))), rng.normal(0, 1, (12, 1280)), truth)
    cells.features[np.arange(12), truth] += 30
    profile = adapt(cells, "ward-7", get_analyzer().classifier)
    save_profile(profile, tmp_path / "profiles" / "ward-7.profile.json")
    go_to(app, WBC)
    upload(app, ("plain.jpg", pack.jpeg(pack.bccd(3))))
    assert not any("site profile" in m.value for m in app.markdown)
    app.selectbox(key="wbc_profile").select("ward-7").run()
    upload(app, ("adapted.jpg", pack.jpeg(pack.bccd(10))))
    assert app.selectbox(key="wbc_field").value == 1, "the new field opens"
    assert any("site profile ward\\-7 v1" in m.value for m in app.markdown)


def counted_page(*statuses):
    """Show the count of two fields: a neutrophil in the first, cells named blasts in the second."""
    from dataclasses import replace

    import streamlit as st

    from core.synthetic.examples import synthetic_slides
    from tests.cases.made import analysis_of, white
    from tests.images import read_image
    from ui.count.results import show_results
    from ui.upload.images import session_image
    from ui.upload.session import upload_session

    session = upload_session()
    if not session.images:
        images = [read_image(data, name) for name, data in synthetic_slides()[:2]]
        blasts = [
            white("blast", 0.5 + place / 10, status, x=100.0 * place)
            for place, status in enumerate(statuses, 1)
        ]
        monocyte = white("monocyte", 0.3, "uncertain", x=600.0)
        found = [(white("neutrophil"),), (white("neutrophil"), monocyte, *blasts)]
        for image, cells in zip(images, found, strict=True):
            result = analysis_of(replace(image), *cells)
            session.images[image.identity] = session_image("P-1", image, result)
    show_results(session, st.container())


def test_possible_blasts_come_first_and_one_press_opens_the_first(database):
    app = AppTest.from_function(
        counted_page, args=("uncertain", "classified", "uncertain"), default_timeout=SECONDS
    ).run()
    assert not app.exception
    urgent = next(e for e in app.error if "possible blasts" in e.value)
    assert "3 possible blasts, 2 of them uncertain" in urgent.value
    groups = [m.value for m in app.markdown if m.value.startswith("**") and "(" in m.value]
    assert groups[:2] == ["**Blasts** (1)", "**Uncertain: not counted** (3)"]
    bodies = [html.proto.body for html in app.get("html")]
    captions = next(c for b in bodies if len(c := re.findall("<figcaption[^>]*>([^<]*)", b)) == 3)
    assert [caption.endswith("Blast?") for caption in captions] == [True, True, False]
    app.button(key="wbc_first_blast").click().run()
    assert not app.exception
    assert app.selectbox(key="wbc_field").value == 1
    assert app.selectbox(key="wbc_cell").value == 4  # the classified one


def test_without_possible_blasts_nothing_urgent_is_said(database):
    app = AppTest.from_function(counted_page, default_timeout=SECONDS).run()
    assert not app.exception
    assert not app.error
    assert not any(b.key == "wbc_first_blast" for b in app.button)


def test_the_image_is_shown_light_corrected_and_as_taken_one_press_away(app, pack):
    upload(go_to(app, WBC), ("field.jpg", pack.jpeg(pack.bccd(3))))
    image = next(iter(app.session_state["uploads"].images.values()))
    assert image.original.cells.keys() == image.corrected.cells.keys()

    def drawn(views) -> bool:
        source = component_data(app, "cells")["src"]
        return source.endswith(base64.b64encode(views.image).decode())

    assert drawn(image.corrected)
    assert not drawn(image.original)
    app.toggle(key="light_corrected").set_value(False).run()
    assert not app.exception
    assert drawn(image.original)


def test_nucleus_and_cell_are_outlined_and_measured_on_request(app, pack):
    upload(go_to(app, WBC), ("field.jpg", pack.jpeg(pack.bccd(3))))
    session = app.session_state["uploads"]
    analysis = next(iter(session.images.values())).result
    whole = next(
        number
        for number, cell in analysis.white_cells()
        if cell.status != "out_of_scope" and is_whole(cell.box, analysis.width, analysis.height)
    )
    app.selectbox(key="wbc_cell").set_value(whole).run()
    assert not any("Nuclear area" in t.value.index for t in app.table)
    for method in ("deconvolution", "hsv"):
        app.selectbox(key="segmentation_method").set_value(method).run()
        assert not app.exception
        (measures,) = (t.value.iloc[:, 0] for t in app.table if "Nuclear area" in t.value.index)
        assert measures["Nuclear area"].endswith(" µm²" if analysis.scale else " px²")
        assert 0 < float(measures["Nuclear roundness"].split()[0]) <= 1
