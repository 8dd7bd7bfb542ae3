"""Takes the screenshots of the README, of synthetic slides only: `make screenshots`.

Serves the app on a temporary store without any data set, saves the example slides to a patient,
and visits the pages in headless Chromium. Writes `assets/screenshots/*.webp`.
"""

import re
import sys
from collections.abc import Callable
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
MARGIN = 24
"""Pixels above what a screenshot begins with."""
SCROLL = """(top, margin) => {
    const main = document.querySelector("[data-testid=stMain]")
    main.scrollBy(0, top.getBoundingClientRect().y - margin)
}"""
QUALITY = 82
LARGEST_BYTES = 150_000
SECONDS = 120


def wbc_count(page: Page) -> Locator:
    """Count the example slides; show one of them."""
    page.goto("/wbc_count")
    page.get_by_role("button", name="Open example slides").click()
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    page.get_by_role("combobox", name=re.compile("^Field")).click()
    page.get_by_role("option").nth(FIELD - 1).click()
    return page.get_by_test_id("stMetric").first


def review(page: Page) -> Locator:
    """Open the review queue at its first cell."""
    page.goto("/review")
    expect(page.get_by_role("button", name="Neutrophil").first).to_be_visible()
    return page.get_by_role("button", name="Previous")


def patients(page: Page) -> Locator:
    """Open the stored sample."""
    page.goto("/patients?sample=1")
    expect(page.get_by_role("heading", name="Differential")).to_be_visible()
    return page.get_by_role("heading", name="sample 1")


def model_metrics(page: Page) -> Locator:
    """Show the first test set of the cell classifier."""
    page.goto("/model_metrics")
    expect(page.get_by_role("heading", name="Confusion matrix")).to_be_visible()
    return page.get_by_role("heading", name="Model metrics")


SCREENSHOTS: tuple[Callable[[Page], Locator], ...] = (wbc_count, review, patients, model_metrics)
"""Each opens a page and returns what the screenshot begins with."""


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


def take(page: Page, top: Locator, name: str) -> int:
    """Write what the window shows from `top` on as WebP; return the size of the file in bytes."""
    settled(page)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    top.evaluate(SCROLL, MARGIN)
    page.wait_for_timeout(1000)  # charts fade in
    image = Image.open(BytesIO(page.screenshot(animations="disabled")))
    path = FOLDER / f"{name}.webp"
    image.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
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
                size = take(page, shot(page), shot.__name__)
            print(f"{shot.__name__}.webp {size / 1000:.0f} kB")
            too_large |= size > LARGEST_BYTES
        browser.close()
    return int(too_large)


if __name__ == "__main__":
    sys.exit(main())
