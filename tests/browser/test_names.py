"""Names that users type are shown as text on every page: no link, icon or markup."""

from dataclasses import replace
from datetime import date

import pytest
from playwright.sync_api import expect

from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import NewField, PatientDetails, SampleDetails
from core.cases.samples import load_case, save_sample
from core.cases.sharing import comment, share
from core.cases.users import user_of
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import CELL_TYPES
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.browser.conftest import serving, visiting
from tests.browser.visits import settled, upload
from tests.images import read_image

pytestmark = pytest.mark.browser

NAME = (
    "http://evil.example/a https://evil.example www.evil.example a@evil.example "
    "[l](http://evil.example) <a href='http://evil.example'>b</a> :material/home: :red[r] "
    "a--b -> $c$"
)
FILE = "www.evil.example https:--evil.example a@evil.example :material:home:.jpg"


def field(image):
    cells = tuple(
        Cell("wbc", Box(40 * n, 30, 36, 36), 0.4, "uncertain", "lymphocyte",
             dict.fromkeys(CELL_TYPES, 1 / 8))
        for n in range(1, 4)
    )  # fmt: skip
    analysis = FieldAnalysis(
        image.name, image.sha256, image.width, image.height, image.properties, cells
    )
    return NewField(image, analysis, {"detector": "1", "wbc": "1"})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store full of names that look like links, the id of a sample and a share token."""
    folder = tmp_path_factory.mktemp("store")
    database = open_database(Settings(_env_file=None, store=folder, database_url=None))
    user = user_of(database)
    patient = create_patient(
        database, user, PatientDetails("P--1 https://evil.example :material/home:", NAME)
    )
    images = [replace(read_image(data, name), name=FILE) for name, data in synthetic_slides()[:2]]
    samples = [
        save_sample(database, user, patient.id, SampleDetails(date(2026, 3, day)), [field(image)])
        for day, image in enumerate(images, 1)
    ]
    comment(database, user, samples[0].id, NAME)
    _, token = share(database, user, samples[0].id)
    assert load_case(database, samples[0].id).fields[0].analysis.file == FILE
    database.engine.dispose()
    return folder, samples[0].id, token


@pytest.fixture
def page(browser, address):
    with visiting(browser, address) as page:
        yield page


@pytest.fixture(scope="module")
def address(store):
    with serving(store[0]) as address:
        yield address


def foreign(page) -> list[str]:
    """Return links and icons of a page that come from a name."""
    return page.evaluate(
        """() => [...document.querySelectorAll('a')]
            .map(link => link.href.baseVal ?? link.href).filter(href => href.includes('evil'))
            .filter(href => !href.startsWith(location.origin))
            .concat([...document.querySelectorAll('[aria-label="home icon"]')]
                .filter(icon => !icon.closest('[data-testid=stSidebarNav]')).map(_ => 'icon'))"""
    )


def test_no_name_is_a_link_on_any_page(page, store):
    _, sample, token = store
    for path in (
        "patients",
        "patients?patient=1",
        f"patients?sample={sample}",
        "review",
        f"review?sample={sample}",
        f"review?link={token}",
        "settings",
        "",
    ):
        page.goto(f"/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        settled(page)
        page.wait_for_timeout(1000)
        assert foreign(page) == [], path
    page.goto("/patients?patient=1")
    for shown in ("P--1 https://evil.example :material/home:", NAME):
        expect(page.get_by_text(shown, exact=False).first).to_be_visible()


def test_no_name_of_an_upload_is_a_link(page, bccd_files, tmp_path):
    field, broken = tmp_path / FILE, tmp_path / f"no {FILE}"
    field.write_bytes(bccd_files(0)[0].read_bytes())
    broken.write_bytes(b"no image")
    for path in ("wbc_count", "all_stage"):
        page.goto(f"/{path}")
        page.get_by_label("Patient of these images").fill(NAME[:60])
        upload(page, field, broken)
        expect(page.get_by_text("Not read")).to_be_visible()
        expect(page.get_by_role("heading", name="Download")).to_be_visible()
        settled(page)
        assert foreign(page) == []
        page.get_by_text("Save to a patient").click()
        settled(page)
        assert foreign(page) == []


def test_tables_do_not_offer_streamlits_own_csv(page):
    page.goto("/settings")
    table = page.get_by_test_id("stDataFrame").first
    table.hover()
    expect(page.locator("button[aria-label^='Search']").first).to_be_visible()
    buttons = page.locator("button[aria-label^='Download as CSV']")
    assert buttons.count() > 0
    for button in buttons.all():
        expect(button).to_be_hidden()
