"""File names on the pages: forgotten on entry where the settings say so, never in a link."""

import pytest

from core.cases.samples import load_case
from core.cases.sharing import share
from core.settings import get_settings
from core.synthetic.examples import synthetic_slides
from tests.pages.app import checked, open_app, texts, upload
from ui.upload.controls import exported

SURNAME = "Kowalska"


@pytest.fixture
def files():
    return [(f"{SURNAME}_{n}.png", data) for n, (_, data) in enumerate(synthetic_slides()[:2])]


def test_names_are_forgotten_on_entry(files, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_NEUTRAL_NAMES", "1")
    get_settings.cache_clear()
    app = upload(open_app("wbc_count"), *files, (f"{SURNAME}.txt", b"text"))
    session = app.session_state["uploads"]
    assert [image.result.file for image in session.images.values()] == ["field 1", "field 2"]
    assert [failure.file for failure in session.failed] == ["field 3"]
    assert SURNAME not in texts(app)


def test_exports_hold_names_only_when_asked(files, monkeypatch):
    app = upload(open_app("wbc_count"), *files, (f"{SURNAME}.txt", b"text"))
    session = app.session_state["uploads"]
    images = list(session.images.values())
    for asked in (False, True):
        monkeypatch.setattr("ui.components.shared.st.toggle", lambda *_, asked=asked, **__: asked)
        named, failed = exported(session, images)
        held = [p.result.file for p in named] + [failure.file for failure in failed]
        assert (SURNAME in " ".join(held)) is asked
        assert len(set(held)) == 3


def test_a_link_shows_no_file_names(database, user, sample):
    names = [field.analysis.file for field in load_case(database, sample.id).fields]
    _, token = share(database, user, sample.id)
    visitor = checked(open_app("review", link=token))
    shown = texts(visitor) + " ".join(str(box.options) for box in visitor.selectbox)
    assert "field 2" in shown
    assert not [name for name in names if name in shown]
