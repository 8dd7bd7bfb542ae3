"""Times what a visitor of the pages waits for, in headless Chromium.

    python -m benchmarks.pages [--rounds 3]

Serves the app on an empty store and visits it with BCCD fields (`python -m core data get bccd`):
first load of a page, twelve fields of 640 x 480 and six of 1712 x 1368 to the answer, saving the
twelve to a patient, the reload of a draft of sixty, and the key of a label to the next cell in its
review. Prints seconds as JSON, the median of the rounds, and writes them to
`benchmarks/pages.json`. Run it on a machine that does nothing else.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from core.datasets.readers import open_set
from core.settings import PROJECT_ROOT
from tests.browser.conftest import CHROMIUM, serving, visiting
from tests.browser.visits import settled, upload

RESULT = PROJECT_ROOT / "benchmarks" / "pages.json"
SECONDS = 180
"""In which every step must be done."""
WIDTH, HEIGHT = 1712, 1368
"""Of a large field."""
LABELLED = 11
"""Cells."""
HELD = 600
"""Milliseconds after which the workbench lets a label through for a cell that was just drawn."""
_PRESS = """(key) => new Promise((done) => {
  const bench = [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")]
    .map((host) => host.shadowRoot.querySelector(".bench")).find(Boolean);
  const name = () => bench.querySelector(".head b").textContent;
  const before = name();
  const begin = performance.now();
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const look = () => {
    const drawn = name() !== before && bench.querySelector(".large .frame:not(.waits) img");
    requestAnimationFrame(drawn ? () => done(performance.now() - begin) : look);
  };
  requestAnimationFrame(look);
})"""
"""Presses a key on the workbench; returns the milliseconds until the next cell is on the screen."""

_SHOWN = """(number) => {
  const metric = [...document.querySelectorAll("[data-testid=stMetric]")]
    .find((node) => node.textContent.startsWith("Fields"));
  const value = metric?.querySelector("[data-testid=stMetricValue]").textContent;
  const parts = [...document.querySelectorAll(".st-key-wbc_drawing, .st-key-wbc_drawing *")];
  const isDrawn = parts.some((node) => (node.shadowRoot ?? node).querySelector("svg image"));
  return value === number && isDrawn;
}"""
"""Whether the numbers and the field of a count are drawn.

It is asked in every frame: an expectation of Playwright asks once a second, and describing the page
in between takes the browser a part of one.
"""
_SETTLED = """() => document.querySelector("[data-testid=stDownloadButton]") &&
  document.querySelector("[data-test-script-state=notRunning]")"""
"""Whether the page is whole: what stands last on it is there, and no script runs."""


def fields(folder: Path) -> tuple[list[Path], list[Path]]:
    """Write sixty BCCD fields, and six large ones put together of nine each, as JPEG files."""
    data = open_set("bccd")
    images = [data.read(example) for example in data.examples[:60]]
    large = []
    for first in range(6):
        parts = images[first : first + 9]
        rows = [np.hstack(parts[k : k + 3]) for k in (0, 3, 6)]
        large.append(np.vstack(rows)[:HEIGHT, :WIDTH])
    return _written(folder, "field", images), _written(folder, "large", large)


def _written(folder: Path, name: str, images: list[np.ndarray]) -> list[Path]:
    files = [folder / f"{name}_{number}.jpg" for number in range(len(images))]
    for file, pixels in zip(files, images, strict=True):
        Image.fromarray(pixels).save(file, quality=95)
    return files


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """Give the page WBC count in a new browser."""
    with visiting(browser, address) as page:
        load(page)
        yield page


def load(page: Page) -> None:
    """Open the page WBC count and wait until it is whole."""
    page.goto("/wbc_count")
    expect(page.get_by_text("Suitable images")).to_be_visible()
    settled(page)


def seconds_of(action: Callable[[], None]) -> float:
    """Return how long an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def shown(page: Page, number: int) -> None:
    """Wait until the first screen of a count of so many fields is there: numbers and field."""
    page.wait_for_function(_SHOWN, arg=str(number), timeout=1000 * SECONDS)


def counted(page: Page, number: int) -> None:
    """Wait until the whole page of a count of so many fields is there."""
    shown(page, number)
    page.wait_for_function(_SETTLED, timeout=1000 * SECONDS)


def answer(page: Page, files: list[Path]) -> float:
    """Return the seconds from the choice of files to their count."""

    def wait() -> None:
        upload(page, *files)
        counted(page, len(files))

    return seconds_of(wait)


def save(page: Page, number: int, patient: str) -> float:
    """Return the seconds from the press of Save to the confirmation."""
    page.get_by_text("Save to a patient").click()
    identifier = page.get_by_role("textbox", name="Patient identifier")
    identifier.fill(patient)
    identifier.press("Enter")
    button = page.get_by_role("button", name=f"Save {number} fields")
    expect(button).to_be_enabled()
    settled(page)

    def wait() -> None:
        button.click()
        expect(page.get_by_text(f"{number} of {number} saved")).to_be_visible()

    return seconds_of(wait)


def next_cell(page: Page) -> float:
    """Return the seconds from the key of a label to the next cell on the screen.

    Median of `LABELLED` cells of the draft that is open. A key counts once the browser drew the
    large image of the next cell.
    """
    page.get_by_role("link", name="Review these cells").click()
    page.get_by_role("radiogroup", name="Cells").get_by_text("All", exact=True).click()
    page.locator(".bench .middle").click()
    expect(page.locator(".bench .cell img").first).to_be_visible()
    settled(page)
    taken = []
    for _ in range(LABELLED):
        expect(page.locator(".bench .large .waits")).to_have_count(0)
        page.wait_for_timeout(HELD)
        taken.append(page.evaluate(_PRESS, "1"))
    return median(taken) / 1000


def measured(browser: Browser, address: str, files: tuple[list[Path], list[Path]]) -> dict:
    """Visit once; return seconds by step."""
    small, large = files
    found: dict[str, float] = {}
    with visiting(browser, address) as page:
        found["first_load_s"] = seconds_of(partial(load, page))
    with opened(browser, address) as page:
        found["twelve_fields_s"] = answer(page, small[:12])
        found["save_twelve_s"] = save(page, 12, f"P-{time.time_ns()}")
    with opened(browser, address) as page:
        found["six_large_fields_s"] = answer(page, large)
    with opened(browser, address) as page:
        answer(page, small)
        draft = page.url

        page.goto("about:blank")
        begin = time.perf_counter()
        page.goto(draft)
        shown(page, len(small))
        found["reload_sixty_shown_s"] = time.perf_counter() - begin
        counted(page, len(small))
        found["reload_sixty_s"] = time.perf_counter() - begin
        found["label_key_s"] = next_cell(page)
    return found


def main() -> int:
    """Measure, print the figures and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    expect.set_options(timeout=1000 * SECONDS)
    with TemporaryDirectory() as made, sync_playwright() as playwright:
        files = fields(Path(made))
        browser = playwright.chromium.launch(args=["--no-sandbox"], **options)
        with serving(Path(made, "store")) as address:
            with opened(browser, address) as page:  # the models are loaded
                answer(page, files[0][:1])
            all_rounds = [measured(browser, address, files) for _ in range(rounds)]
        browser.close()
    figures = {name: median(own[name] for own in all_rounds) for name in all_rounds[0]}
    text = json.dumps({"rounds": rounds, **figures}, indent=1)
    RESULT.write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
