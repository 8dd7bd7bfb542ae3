"""axe-core finds nothing serious on any page, in light and dark."""

from datetime import date

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import save_sample
from core.cases.users import user_of
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.browser.conftest import serving, visiting
from tests.browser.visits import settled
from tests.cases.made import new_field, white
from tests.images import read_image

pytestmark = pytest.mark.browser

PAGES = (
    "",  # Overview
    "wbc_count",
    "microscope",
    "all_stage",
    "patients?patient=1",
    "review?sample=1",
    "settings",
    "atlas?cell=monocyte",
    "attributes",
    "explain",
    "lecture",
    "quiz",
    "model_metrics",
    "about",
)
EXCLUDED = (
    # Streamlit's own menu and tool bar.
    '[data-testid="stSidebarNav"]',
    '[data-testid="stHeader"]',
    # Labels of inactive widgets need no contrast (WCAG 1.4.3), but axe takes them for active.
    '[data-testid="stSelectbox"]:has(input:disabled)',
)
COLOURS = {"runOnly": ["color-contrast"]}
"""All that differs between light and dark."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    opened = open_database(Settings(_env_file=None, store=folder, database_url=None))
    local = user_of(opened)
    patient = create_patient(opened, local, PatientDetails("P-1"))
    name, data = synthetic_slides()[0]
    cells = (white(x=100), white("monocyte", 0.4, "uncertain", x=250), white("blast", x=400))
    field = new_field(read_image(data, name), *cells)
    save_sample(opened, local, patient.id, SampleDetails(date(2026, 3, 1)), [field])
    opened.engine.dispose()
    return folder


def serious(page, axe, options):
    """Return the rule, the element and what is wrong with it of every serious finding."""
    context = {"exclude": [[selector] for selector in EXCLUDED]}
    found = axe.run(page, context, {"resultTypes": ["violations"], **options}).response
    return [
        (rule["id"], node["html"][:200], node["failureSummary"][:300])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def test_no_page_has_a_serious_finding(browser, store):
    axe = Axe()
    found = {}
    with serving(store) as address, visiting(browser, address) as page:
        for path in PAGES:
            page.emulate_media(color_scheme="light")
            page.goto(f"/{path}")
            expect(page.get_by_role("heading", level=1).first).to_be_visible()
            settled(page)
            found[f"{path}, light"] = serious(page, axe, {})
            page.emulate_media(color_scheme="dark")
            expect(page.get_by_test_id("stApp")).to_have_css("background-color", "rgb(21, 19, 26)")
            found[f"{path}, dark"] = serious(page, axe, COLOURS)
    assert not {where: findings for where, findings in found.items() if findings}
