"""Uploads are drafts: they come back by their address, are reviewed, and are nobody else's."""

import io
from datetime import UTC, datetime

import pytest
from PIL import Image

from core.cases import drafts
from core.cases.database import get_database
from core.cases.drafts import load_draft, open_draft
from core.cases.samples import load_sample
from core.cases.users import set_role, user_of
from core.domain.results import FailedFile
from core.inference.pipeline import Analyzer
from core.settings import get_settings
from core.synthetic.examples import synthetic_slides
from tests.pages.app import button, checked, go_to, open_app, press, texts, upload
from tests.pages.reviews import choose, undo
from ui.upload.session import UploadSession

WBC, STAGE, REVIEW, PATIENTS = "wbc_count", "all_stage", "review", "patients"
DENIED = "does not exist or was deleted"


@pytest.fixture
def slides():
    return synthetic_slides()


def grey(slide: bytes) -> bytes:
    stream = io.BytesIO()
    with Image.open(io.BytesIO(slide)) as image:
        image.convert("L").save(stream, "PNG")
    return stream.getvalue()


def key_of(app) -> str:
    return in_address(app, "draft")


def in_address(app, name: str) -> str:
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def fields_of(app):
    database = get_database()
    return load_draft(database, open_draft(database, key_of(app), None))[2]


def shown(app):
    """Return what a page shows of its images."""
    session = app.session_state["uploads"]
    found = [(i.patient, i.result, i.stage and i.stage.stage) for i in session.images.values()]
    return found, [m.value for m in app.metric], list(session.failed), list(session.repeated)


def told(app) -> str:
    return "\n".join(error.value for error in app.error)


def test_an_upload_comes_back_by_its_address(slides, monkeypatch):
    app = upload(
        open_app(WBC), *slides[:2], ("grey.png", grey(slides[2][1])), ("no.jpg", b"x"), slides[0]
    )
    with monkeypatch.context() as patched:  # nothing is analysed again
        patched.setattr(Analyzer, "analyze", None)
        again = open_app(WBC, draft=key_of(app))
    assert shown(again) == shown(app)
    assert [i.reject_reason is None for _, i, _ in shown(again)[0]] == [True, True, False]
    assert "no\\.jpg" in told(again)
    # More images go to the same draft, and each page shows the other browser's.
    upload(again, slides[3])
    app.run()
    assert shown(app) == shown(again)
    assert len(fields_of(app)) == 4


def test_an_override_stays_marked_and_out_of_the_pool(slides):
    app = upload(open_app(WBC), slides[0], ("grey.png", grey(slides[2][1])))
    button(app, "Analyse anyway").click().run()
    press(app, "wbc_grade")
    assert any(
        "1 field was analysed against quality control: left out" in w.value for w in app.warning
    )
    again = go_to(open_app(), STAGE, draft=key_of(app))
    assert [one.stored.stage is not None for one in fields_of(app)] == [True, True]
    table = again.data_editor[0].value
    assert table["overruled"].str.contains("no stain colours").tolist() == [False, True]
    assert any("no stain colours" in w.value for w in again.warning)


def test_cells_are_reviewed_before_anything_is_saved(slides):
    app = upload(open_app(WBC), slides[0])
    (field,) = fields_of(app)
    (link,) = (one for one in app.get("page_link") if one.label == "Review these cells")
    assert f"sample={field.sample_id}" in link.query_string
    review = go_to(open_app(), REVIEW, draft=key_of(app), sample=field.sample_id, cells="All")
    assert not review.error
    before = field.stored.analysis.counts.types["basophil"]
    choose(review, "basophil")
    app.run()
    types = next(iter(app.session_state["uploads"].images.values())).result.counts.types
    assert types["basophil"] in (before, before + 1)
    assert any(cell.reviewer for cell in fields_of(app)[0].stored.analysis.cells)
    undo(review)
    assert not any(cell.reviewer for cell in fields_of(app)[0].stored.analysis.cells)
    # Without the key the sample is at no address.
    for page in (REVIEW, PATIENTS):
        assert DENIED in told(go_to(open_app(), page, sample=field.sample_id))
    patient = load_sample(
        get_database(), field.sample_id, open_draft(get_database(), key_of(app), None).id
    ).patient_id
    for page in (REVIEW, PATIENTS):
        assert DENIED in told(go_to(open_app(), page, patient=patient))
    assert "No patients are stored yet" in texts(go_to(open_app(), PATIENTS))


def test_a_wrong_address_shows_nothing_of_a_draft(slides):
    app = upload(open_app(WBC), slides[0])
    for page in (WBC, STAGE, REVIEW):
        for key in ("1", key_of(app)[:-1]):
            other = go_to(open_app(), page, draft=key)
            assert "This draft cannot be opened" in told(other)
            assert not other.metric


def test_a_users_drafts_are_theirs_alone(slides, sign_in):
    database = get_database()
    for name in ("ana@lab", "ben@lab"):
        set_role(database, user_of(database), name, "reviewer")

    def visit(name):
        now = int(datetime.now(UTC).timestamp())
        said = {"email": name, "email_verified": True, "iss": "https://lab", "sub": name}
        sign_in(is_logged_in=True, iat=now, exp=now + 9999, **said)

    visit("ana@lab")
    app = upload(open_app(WBC), slides[0])
    key = key_of(app)
    sample = load_draft(database, open_draft(database, key, "ana@lab"))[2][0].sample_id
    other = open_app(WBC)
    assert any(b.key == f"draft_{key}" for b in other.button)
    press(other, f"draft_{key}")
    assert shown(other) == shown(app)
    visit("ben@lab")
    stranger = open_app(WBC)
    assert not any((b.key or "").startswith("draft_") for b in stranger.button)
    for page in (WBC, STAGE, REVIEW):
        stranger = go_to(open_app(), page, draft=key, sample=sample)
        assert "This draft cannot be opened" in told(stranger)
        assert not stranger.metric
    # Nor does a page that stayed open while somebody else signed in.
    assert "This draft cannot be opened" in told(app.run())
    assert not app.metric


def test_cleared_images_can_be_brought_back_or_deleted_at_once(slides):
    app = upload(open_app(WBC), slides[0])
    key, before = key_of(app), shown(app)
    button(app, "Clear all").click().run()
    assert not app.metric
    assert "draft" not in app.query_params
    press(app, "draft_undo")
    assert shown(app) == before
    button(app, "Clear all").click().run()
    press(app, "draft_delete")
    assert "This draft cannot be opened" in told(go_to(open_app(), WBC, draft=key))
    assert not list(get_database().images.root.glob("??/*.png"))


def test_an_upload_that_was_cut_short_shows_what_was_read(slides):
    app = upload(open_app(WBC), slides[0])
    session = app.session_state["uploads"]
    database = get_database()
    notes = drafts.DraftNotes(expected=(slides[1][0], slides[0][0]))
    drafts.add_notes(database, session.draft, notes)
    again = open_app(WBC, draft=key_of(app))
    (warning,) = (w for w in again.warning if "Drop them again" in w.value)
    assert slides[1][0].replace("_", "\\_").replace(".", "\\.") in warning.value
    assert slides[0][0].replace("_", "\\_").replace(".", "\\.") not in warning.value


def test_two_browsers_at_once_keep_the_failed_files_of_both(slides, monkeypatch):
    app = upload(open_app(WBC), slides[0])
    compare = UploadSession.mark_duplicates
    theirs = drafts.DraftNotes(("late.jpg",), (FailedFile("theirs.jpg", "Not an image."),))

    def in_another_browser(session):
        drafts.add_notes(get_database(), session.draft, theirs)
        compare(session)

    with monkeypatch.context() as patched:
        patched.setattr(UploadSession, "mark_duplicates", in_another_browser)
        upload(app, ("mine.jpg", b"x"))
    app.run()
    assert "mine\\.jpg" in told(app)
    assert "theirs\\.jpg" in told(app)
    assert any("late\\.jpg" in warning.value for warning in app.warning)


def test_without_a_store_the_page_counts_and_says_what_a_reload_loses(slides, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_STORE", "/proc/nowhere")
    get_settings.cache_clear()
    get_database.cache_clear()
    app = upload(open_app(WBC), slides[0])
    assert "draft" not in app.query_params
    assert len(app.metric) > 0
    assert sum("a reload loses them" in w.value for w in app.warning) == 1
    app.run()
    assert any("Download" in s.value for s in checked(app).header)


def test_field_and_cell_have_an_address(slides):
    app = upload(open_app(WBC), *slides[:2])
    app.selectbox(key="wbc_field").set_value(1).run()
    app.selectbox(key="wbc_cell").select_index(1).run()
    cell = app.selectbox(key="wbc_cell").value
    assert [in_address(app, name) for name in ("field", "cell")] == ["2", str(cell)]
    other = go_to(open_app(), WBC, draft=key_of(app), field=2, cell=cell)
    assert other.selectbox(key="wbc_field").value == 1
    assert other.selectbox(key="wbc_cell").value == cell
    app.query_params["field"] = "1"  # Back
    assert app.run().selectbox(key="wbc_field").value == 0
