"""Pages over a damaged store: what needs no case works, the rest says what is wrong."""

import pytest

from core.cases.database import get_database
from core.settings import get_settings
from core.synthetic.examples import synthetic_slides
from tests.pages.app import button, checked, go_to, open_app, upload
from tests.pages.conftest import forget

DAMAGED = "The case database is damaged"


@pytest.fixture
def damaged(sample):
    """Damage the store of this test."""
    get_database().engine.dispose()
    forget()
    (get_settings().store / "leukoscope.sqlite").write_bytes(b"no database " * 1000)


def errors(app):
    return " ".join(error.value for error in app.error)


def test_counting_and_grading_work_without_the_store(damaged, pack):
    app = upload(open_app("wbc_count"), synthetic_slides()[0])
    assert any("classified white cells" in progress.text for progress in app.get("progress"))
    assert DAMAGED in errors(app)
    name = next(n for n in pack.names("taleqani_all.zip") if n.endswith(".webp") and "Pre" in n)
    app = upload(
        open_app("all_stage"), ("field.png", pack.png(pack.read("taleqani_all.zip", name)))
    )
    assert "possible blast" in errors(app)
    assert any("Pre" in m.value for m in app.markdown)


@pytest.mark.parametrize("page", ["patients", "review", "settings", "overview"])
def test_pages_of_cases_say_what_is_wrong(damaged, page):
    app = open_app() if page == "overview" else go_to(open_app(), page)
    assert DAMAGED in errors(app)


def test_a_missing_image_is_a_sentence(database, sample):
    for file in database.images.root.glob("??/*.png"):
        file.unlink()
    app = open_app("patients", sample=sample.id)
    assert "stored image is missing" in errors(app)
    assert button(app, "Save")
    checked(app.run())
