"""Takes the screenshots of the README, of synthetic slides only: `make screenshots`.

Serves the app on a temporary store without any data set, saves the example slides to a patient,
and visits the pages in headless Chromium. Writes `assets/screenshots/*.webp`.
"""

import re
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

from core.settings import PROJECT_ROOT
from core.synthetic.examples import synthetic_slides
from tests.browser.conftest import CHROMIUM, serving, visiting
from tests.browser.visits import settled

FOLDER = PROJECT_ROOT / "assets" / "screenshots"
WINDOW = {"width": 1280, "height": 1000}
FIELD = 6
"""Number of the example slide that is shown: one of its white cells is uncertain."""
TOOLBAR, GAP = 60, 12
"""Height of the page's toolbar, and the space below and above what is shown, in pixels."""
SCROLL = """(top, margin) => {
    const main = document.querySelector("[data-testid=stMain]")
    main.scrollBy(0, top.getBoundingClientRect().y - margin)
}"""
QUALITY = 82
LARGEST_BYTES = 150_000
SECONDS = 120


def wbc_count(page: Page) -> tuple[Locator, Locator]:
    """Count the example slides; show one of them."""
    page.goto("/wbc_count")
    page.get_by_role("button", name="Open example slides").click()
    differential = page.get_by_role("heading", name="Differential")
    expect(differential).to_be_visible()
    page.get_by_role("combobox", name=re.compile("^Field")).click()
    page.get_by_role("option").nth(FIELD - 1).click()
    return page.get_by_test_id("stMetric").first, differential


def patients(page: Page) -> tuple[Locator, Locator]:
    """Show the differential of the stored sample."""
    page.goto("/patients?sample=1")
    fields = page.get_by_role("heading", name="Fields")
    expect(fields).to_be_visible()
    return page.get_by_role("heading", name="sample 1"), fields


def review(page: Page) -> tuple[Locator, None]:
    """Show the workbench with all white cells, which fills the window."""
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto("/review?sample=1&cells=All")
    expect(page.locator(".bench .references img").last).to_be_visible()
    page.wait_for_timeout(5000)  # the images of the gallery come one after the other
    return page.get_by_role("heading", level=1), None


def microscope(page: Page) -> tuple[Locator, None]:
    """Count the example slide; show one of its cells beside it."""
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto("/microscope")
    page.get_by_role("link", name=re.compile("Example")).click()
    page.get_by_role("button", name="Count", exact=True).click()
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    page.wait_for_timeout(20_000)  # a field or two
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    for _ in range(4):
        page.get_by_role("button", name="Next cell").click()
        page.wait_for_timeout(2000)
    return page.get_by_role("heading", level=1), None


SCREENSHOTS = (wbc_count, patients, review, microscope)
"""Each opens a page and returns the first element that is shown and the first that is not."""


def save_example_case(address: str) -> None:
    """Save the example slides as one sample of a patient, by the REST API."""
    api = f"{address}/api"

    def post(path: str, **request: object) -> dict:
        answer = requests.post(f"{api}/{path}", timeout=SECONDS, **request)
        answer.raise_for_status()
        return answer.json()

    patient = post("patients", json={"identifier": "EXAMPLE-1"})
    sample = post(f"patients/{patient['id']}/samples", json={"taken": "2026-01-15"})
    for name, data in synthetic_slides():
        sample = post(
            f"samples/{sample['id']}/fields",
            params={"version": sample["version"]},
            files={"file": (name, data)},
        )["sample"]


def take(page: Page, first: Locator, after: Locator | None, name: str) -> int:
    """Write the window from `first` to `after` as WebP; return the size of the file in bytes."""
    settled(page)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    first.evaluate(SCROLL, TOOLBAR + GAP)
    page.wait_for_timeout(1000)  # charts fade in
    image = Image.open(BytesIO(page.screenshot(animations="disabled")))
    end = image.height
    if after is not None:
        end = after.evaluate("element => element.getBoundingClientRect().y") - GAP
    path = FOLDER / f"{name}.webp"
    shown = image.convert("RGB").crop((0, 0, image.width, min(round(end), image.height)))
    shown.save(path, "WEBP", quality=QUALITY, method=6)
    return path.stat().st_size


def main() -> int:
    """Take the screenshots named on the command line, or all; return the exit status."""
    FOLDER.mkdir(exist_ok=True)
    chosen = [shot for shot in SCREENSHOTS if shot.__name__ in sys.argv[1:] or not sys.argv[1:]]
    options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    too_large = False
    with (
        TemporaryDirectory() as folder,
        serving(Path(folder, "store"), LEUKOSCOPE_DATA=folder) as address,
        sync_playwright() as playwright,
    ):
        save_example_case(address)
        expect.set_options(timeout=SECONDS * 1000)
        browser = playwright.chromium.launch(args=["--no-sandbox"], **options)
        for shot in chosen:
            with visiting(browser, address, viewport=WINDOW) as page:
                size = take(page, *shot(page), shot.__name__)
            print(f"{shot.__name__}.webp {size / 1000:.0f} kB")
            too_large |= size > LARGEST_BYTES
        browser.close()
    return int(too_large)


if __name__ == "__main__":
    sys.exit(main())
