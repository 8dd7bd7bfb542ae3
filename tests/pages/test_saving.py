"""Uploaded images are saved to the case database, each once."""

import io
from datetime import date

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.cases import drafts
from core.cases.database import get_database
from core.cases.listing import patient_history, search_patients
from core.cases.patients import create_patient, find_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import load_case, load_image, save_sample
from core.cases.signing import mark_reviewed, sign
from core.cases.users import user_of
from core.errors import PictureNotStoredError
from core.settings import get_settings
from core.synthetic.examples import synthetic_slides
from tests.images import encoded, read_image, slide_pixels, stack
from tests.pages.app import button, checked, go_to, open_app, texts, upload
from ui.upload import session as upload_session

WBC, STAGE = "wbc_count", "all_stage"


@pytest.fixture
def slides():
    return synthetic_slides()


@pytest.fixture
def all_field(pack):
    names = [n for n in pack.names("taleqani_all.zip") if n.endswith(".webp") and "Pre" in n]
    return "field.png", pack.png(pack.read("taleqani_all.zip", names[0]))


def opened(page: str, *files: tuple[str, bytes], patient: str = "P-1") -> AppTest:
    app = open_app(page)
    app.text_input(key=f"{name_of(page)}_patient").set_value(patient).run()
    return upload(app, *files)


def name_of(page: str) -> str:
    return "wbc" if page == WBC else "stage"


def with_form(app: AppTest, name: str = "wbc") -> AppTest:
    app.session_state[f"{name}_save"] = True
    return checked(app.run())


def save(app: AppTest, name: str = "wbc") -> AppTest:
    return checked(app.button(key=f"{name}_save_now").click().run())


def stored(identifier: str):
    database = get_database()
    patient = find_patient(database, identifier)
    assert patient is not None
    return [load_case(database, s.sample.id) for s in patient_history(database, patient.id)[1]]


def test_one_click_saves_fields_with_their_cells_to_a_new_patient(slides):
    app = with_form(opened(WBC, *slides[:2]))
    assert app.text_input(key="wbc_save_P-1_typed").value == "P-1"
    app.date_input(key="wbc_save_P-1_taken").set_value(date(2026, 3, 1)).run()
    app.number_input(key="wbc_save_P-1_white_cells").set_value(7.5).run()
    save(app)
    (case,) = stored("P-1")
    assert (case.sample.taken, case.sample.white_cell_count) == (date(2026, 3, 1), 7.5)
    shown = [p.result for p in app.session_state["uploads"].images.values()]
    assert [a.cells for a in case.analyses] == [a.cells for a in shown]
    assert case.fields[0].models.keys() == {"detector", "wbc"}
    kept = load_image(get_database(), case.fields[0].id).pixels
    assert (kept == read_image(slides[0][1], slides[0][0]).pixels).all()
    assert any("2 of 2 saved" in m.value for m in app.markdown)


def test_every_image_of_a_file_is_shown_and_saved(slides):
    app = opened(WBC, ("stack.tif", stack(slide_pixels(0), slide_pixels(1))), slides[2])
    assert app.selectbox(key="wbc_field").options == [
        "1 · stack.tif",
        "2 · stack.tif, page 2",
        f"3 · {slides[2][0]}",
    ]
    assert list(app.dataframe[-1].value["page"]) == [1, 2, 1]
    save(with_form(app))
    (case,) = stored("P-1")
    assert [a.page for a in case.analyses] == [1, 2, 1]
    for field, number in zip(case.fields, range(3), strict=True):
        kept = load_image(get_database(), field.id).pixels
        assert (kept == slide_pixels(number)).all()


def test_cells_that_two_fields_show_count_once_unless_the_reader_keeps_them(slides):
    pixels = slide_pixels(0)
    again = encoded(np.ascontiguousarray(pixels[:, 40:]))
    app = opened(WBC, slides[0], ("again.png", again), ("copy.bmp", encoded(pixels, "BMP")))
    first, second = (p.result for p in app.session_state["uploads"].images.values())
    assert any("is the same as" in i.value for i in app.info)
    assert any("shows too" in w.value for w in app.warning)
    assert second.counts.duplicates["wbc"] >= 1
    once = sum(first.counts.types.values()) + sum(second.counts.types.values())
    assert f"check: {once} white cell" in texts(app)
    assert f"{second.counts.duplicates['wbc']} counted in another field" in texts(app)
    app.toggle(key="keep_duplicates").set_value(True).run()
    checked(app)
    kept = list(app.session_state["uploads"].images.values())[1].result
    assert kept.counts.duplicates["wbc"] == 0
    both = sum(first.counts.types.values()) + sum(kept.counts.types.values())
    assert f"check: {both} white cell" in texts(app)
    app.toggle(key="keep_duplicates").set_value(False).run()
    save(with_form(app))
    (case,) = stored("P-1")
    assert [a.counts.duplicates["wbc"] for a in case.analyses] == [
        0,
        second.counts.duplicates["wbc"],
    ]


def test_cells_count_in_a_sample_that_lacks_the_other_field_with_them(slides, monkeypatch):
    again = encoded(np.ascontiguousarray(slide_pixels(0)[:, 40:]))
    monkeypatch.setattr(upload_session, "MAX_BYTES", 0)
    monkeypatch.setattr(drafts, "add_draft_field", cannot_store)
    app = opened(WBC, slides[0])
    monkeypatch.undo()
    upload(app, ("again.png", again))
    _, second = (p.result for p in app.session_state["uploads"].images.values())
    assert second.counts.duplicates["wbc"] >= 1
    save(with_form(app))
    (case,) = stored("P-1")
    assert [a.file for a in case.analyses] == ["again.png"]
    assert case.analyses[0].counts.duplicates["wbc"] == 0
    assert case.analyses[0].counts.kinds == second.alone.counts.kinds


def test_saved_images_are_not_saved_twice_and_later_ones_join_the_sample(slides):
    app = save(with_form(opened(WBC, slides[0])))
    assert not any(b.key == "wbc_save_now" for b in app.button)
    assert any("Nothing is left to save" in i.value for i in app.info)
    upload(app, slides[1])
    (sample_id,) = (case.sample.id for case in stored("P-1"))
    patient = find_patient(get_database(), "P-1")
    assert patient is not None
    app.selectbox(key=f"wbc_save_P-1_sample_{patient.id}").select_index(1).run()
    save(app)
    (case,) = stored("P-1")
    assert case.sample.id == sample_id
    assert [a.file for a in case.analyses] == [slides[0][0], slides[1][0]]


def test_several_patients_are_saved_by_one_click(slides):
    app = opened(WBC, slides[0], patient="A")
    app.text_input(key="wbc_patient").set_value("B").run()
    upload(app, slides[1])
    app.selectbox(key="wbc_chosen").select("All 2 patients").run()
    save(with_form(app))
    for identifier, slide in (("A", slides[0]), ("B", slides[1])):
        (case,) = stored(identifier)
        assert [a.file for a in case.analyses] == [slide[0]]


def test_a_patient_without_a_name_needs_an_identifier(slides):
    app = with_form(opened(WBC, slides[0], patient=""))
    assert app.button(key="wbc_save_now").disabled
    app.text_input(key="wbc_save_Unnamed_typed").set_value("P-9").run()
    save(app)
    assert len(stored("P-9")) == 1


def test_another_spelling_is_saved_to_the_same_patient_and_unseen_characters_to_none(slides):
    database = get_database()
    patient = create_patient(database, user_of(database), PatientDetails("M\u00fc 7"))
    app = with_form(opened(WBC, slides[0], patient="Mu\u0308  7"))
    app.text_input(key="wbc_save_M\u00fc 7_typed").set_value("M\u00fc\u202e7").run()
    assert any("202E" in error.value for error in app.error)
    assert app.button(key="wbc_save_now").disabled
    app.text_input(key="wbc_save_M\u00fc 7_typed").set_value(" Mu\u0308  7").run()
    save(app)
    assert len(patient_history(database, patient.id)[1]) == 1


def test_an_existing_patient_is_found_by_name_and_signed_samples_are_not_offered(slides):
    database = get_database()
    user = user_of(database)
    patient = create_patient(database, user, PatientDetails("X-17", "Åsa Öst"))
    sample = save_sample(database, user, patient.id, SampleDetails(date(2026, 1, 1)))
    sign(database, user, mark_reviewed(database, user, sample))
    app = with_form(opened(WBC, slides[0], patient="öst"))
    app.selectbox(key="wbc_save_öst_patient_öst").select_index(1).run()
    assert app.selectbox(key=f"wbc_save_öst_sample_{patient.id}").options == ["New sample"]
    save(app)
    assert search_patients(database, "").total == 1
    assert len(stored("X-17")) == 2


def test_refused_and_broken_files_are_left_out_and_said_so(slides):
    grey = made_grey()
    app = with_form(opened(WBC, slides[0], ("grey.png", grey), ("notes.jpg", b"no image")))
    assert any("1 rejected, 1 not read" in c.value for c in app.caption)
    save(app)
    (case,) = stored("P-1")
    assert [a.file for a in case.analyses] == [slides[0][0]]


def cannot_store(*_ignored):
    raise PictureNotStoredError


def made_grey() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (400, 300), (190, 190, 190)).save(stream, "PNG")
    return stream.getvalue()


def test_what_cannot_be_kept_in_memory_is_analysed_and_not_saved(slides, monkeypatch):
    monkeypatch.setattr(upload_session, "MAX_BYTES", len(slides[0][1]))
    monkeypatch.setattr(drafts, "add_draft_field", cannot_store)
    app = with_form(opened(WBC, *slides[:2]))
    assert any("a reload loses them" in w.value for w in app.warning)
    monkeypatch.undo()
    assert any("1 image is analysed" in w.value for w in app.warning)
    save(app)
    (case,) = stored("P-1")
    assert [a.file for a in case.analyses] == [slides[0][0]]


def test_a_graded_field_is_saved_with_its_class_and_its_cells(all_field):
    app = save(with_form(opened(STAGE, all_field), "stage"), "stage")
    (case,) = stored("P-1")
    (field,) = case.fields
    (graded,) = app.session_state["uploads"].images.values()
    assert field.stage is not None
    assert field.stage.stage == graded.stage.stage
    assert field.models.keys() == {"detector", "wbc", "all_stage"}
    assert field.analysis.white_cells()


def test_a_field_that_both_pages_know_is_saved_with_both_answers(all_field):
    app = opened(STAGE, all_field)
    go_to(app, WBC)
    assert app.metric[-1].value == "1"
    save(with_form(app))
    (case,) = stored("P-1")
    assert case.fields[0].stage is not None
    assert case.fields[0].models.keys() == {"detector", "wbc", "all_stage"}


def test_a_stored_field_that_is_graded_later_gets_its_class(all_field):
    app = save(with_form(opened(WBC, all_field)))
    (before,) = stored("P-1")
    go_to(app, STAGE)
    app.button(key="stage_save_stages").click().run()
    checked(app)
    (case,) = stored("P-1")
    assert case.analyses == before.analyses
    assert case.fields[0].stage is not None
    assert case.fields[0].models.keys() == {"detector", "wbc", "all_stage"}


def test_what_was_analysed_against_the_gate_stays_marked(slides):
    stream = io.BytesIO()
    with Image.open(io.BytesIO(slides[0][1])) as image:
        image.convert("L").save(stream, "PNG")
    app = opened(WBC, ("grey.png", stream.getvalue()))
    button(app, "Analyse anyway").click().run()
    save(with_form(app))
    (case,) = stored("P-1")
    assert "no stain colours" in str(case.analyses[0].qc_override)


def test_a_store_that_cannot_be_opened_is_a_sentence_and_the_page_goes_on(slides, monkeypatch):
    app = opened(WBC, slides[0])
    monkeypatch.setenv("LEUKOSCOPE_STORE", "/proc/nowhere")
    get_settings.cache_clear()
    get_database.cache_clear()
    with_form(app)
    assert any("cannot be reached" in e.value for e in app.error)
    assert any(s.value == "Download" for s in app.header)


def test_a_viewer_is_told_what_is_missing(slides, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_ADMINS", '["ada@lab"]')
    monkeypatch.setenv("LEUKOSCOPE_ADMIT_NEWCOMERS", "true")
    app = with_form(opened(WBC, slides[0]))
    assert any("needs the role reviewer" in e.value for e in app.error)
    assert not any(b.key == "wbc_save_now" for b in app.button)
