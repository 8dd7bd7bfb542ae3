"""Measures how fast tiles of a large slide come, alone and while its cells are counted.

    python -m benchmarks.slide_speed [--gigapixels 1] [--seconds 60] [--folder FOLDER]

Writes a synthetic slide, tile by tile, into a temporary folder in FOLDER (1.2 GB of disk for 10⁹
pixels), serves it, and asks for tiles as a viewer does: views of six tiles at random places and
zooms, hardly any tile twice. Then Chromium opens the page of the slide in new windows until its
first tiles are drawn, starts a count of the whole area, and the same number of seconds passes
again. Last it stops the count, and moves and zooms over 10⁵ cells, which take the place of those
found. Prints seconds, megabytes, tiles and frames a second as JSON and writes them to
`benchmarks/slide_speed.json`. Run it on a machine that does nothing else. Headless Chromium draws
without a graphics card: `renderer` says by what.

The exit status is 1 when a tile failed, or when the count did not go on.
"""

import argparse
import json
import math
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import requests
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from benchmarks.api_load import memory_of
from core.bench.api import Server, serving
from core.domain.taxonomy import LEUKOCYTES, label_colour
from core.settings import PROJECT_ROOT
from core.slides.example import write_smear
from tests.browser.conftest import CHROMIUM, visiting

RESULT = PROJECT_ROOT / "benchmarks" / "slide_speed.json"
AT_A_TIME = 6
"""Connections that a browser opens to a server."""
ACROSS = 21
"""Fields; the slide is 33,280 pixels wide."""
PIXELS = 33_280 * 1024
"""Of a row of fields."""
PAUSE = 0.2
"""Seconds between two views of a visitor."""
_IN_VAIN = 200
BEGINS = 600
"""Seconds in which the count must have its first tile."""
SEED = 1
OPENINGS = 6
"""Of the page; the first one, when the server has drawn none yet, is told apart."""
CELLS = 100_000
STEPS = 240
"""Movements of the mouse for a figure."""
TILES_SHOWN = ".map .leaflet-tile-loaded img"
COUNT_FRAMES = """() => {
    const drawn = window.drawnAt = []
    const next = time => { drawn.push(time); if (window.drawnAt) requestAnimationFrame(next) }
    requestAnimationFrame(next)
}"""
RENDERER = """() => {
    const gl = document.createElement("canvas").getContext("webgl")
    const about = gl?.getExtension("WEBGL_debug_renderer_info")
    return about ? gl.getParameter(about.UNMASKED_RENDERER_WEBGL) : "software, without WebGL"
}"""


def views(slide: dict[str, Any]) -> Iterator[list[tuple[int, int, int]]]:
    """Yield zoom, column and row of the tiles of a view: 2 x 3 neighbours at a random place.

    No tile comes twice, until nearly all have come.
    """
    chance, seen, in_vain = random.Random(SEED), set(), 0
    last, side = slide["last_zoom"], slide["tile_size"]
    while True:
        zoom = chance.choice(range(last // 2, last + 1))
        factor = side * 2 ** (last - zoom)
        columns, rows = (-(-slide[length] // factor) for length in ("width", "height"))
        left, top = chance.randrange(columns), chance.randrange(rows)
        across, down = range(left, min(columns, left + 3)), range(top, min(rows, top + 2))
        new = [(zoom, c, r) for c in across for r in down if (zoom, c, r) not in seen]
        in_vain = 0 if new else in_vain + 1
        if in_vain > _IN_VAIN:
            seen.clear()
        seen.update(new)
        if new:
            yield new


def look(
    server: Server, address: str, asked: Iterator[list[tuple[int, int, int]]], seconds: int
) -> dict[str, Any]:
    """Ask for tiles for some seconds; return the figures."""
    times, memory, failed = [], [], 0

    def fetch(place: tuple[int, int, int]) -> tuple[float, bool]:
        zoom, column, row = place
        begin = time.perf_counter()
        answer = requests.get(f"{address}/tiles/{zoom}/{column}_{row}.jpg", timeout=60)
        return time.perf_counter() - begin, answer.ok

    end = time.monotonic() + seconds
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        while time.monotonic() < end:
            for spent, fine in pool.map(fetch, next(asked)):
                times.append(spent)
                failed += not fine
            time.sleep(PAUSE)
            memory.append(memory_of(server.process)[1])
    half, most = np.percentile(times, [50, 95])
    return {
        "tiles": len(times),
        "failed": failed,
        "latency_p50_s": float(half),
        "latency_p95_s": float(most),
        "memory_most_megabytes": max(memory),
    }


def opening(browser: Browser, address: str) -> float:
    """Return the seconds from nothing to the first tiles of a slide in a new window."""
    with visiting(browser, address) as page:
        begin = time.perf_counter()
        page.goto(address)
        page.locator(TILES_SHOWN).first.wait_for()
        page.wait_for_function("() => new Promise(done => requestAnimationFrame(() => done(true)))")
        return time.perf_counter() - begin


def frames(browser: Browser, address: str, slide: dict[str, Any]) -> dict[str, Any]:
    """Move and zoom over a slide whose count has many cells; return the figures."""
    chance = np.random.default_rng(SEED)
    places = chance.integers(0, (slide["width"] - 60, slide["height"] - 60), (CELLS, 2))
    kinds = chance.integers(0, len(LEUKOCYTES), CELLS)
    answer = {
        "version": "1",
        "types": [(kind, label_colour(kind)) for kind in LEUKOCYTES],
        "cells": [(x, y, 52, 52, kind, 1, 0) for (x, y), kind in zip(places, kinds, strict=True)],
        "numbers": list(range(1, CELLS + 1)),
    }
    body = json.dumps(answer, default=int)
    with visiting(browser, address) as page:
        page.route("**/api/slides/*/count", lambda route: route.fulfill(body=body))
        page.goto(address)
        page.get_by_role("button", name="Show the cells of the count").wait_for()
        return {
            "cells": CELLS,
            "renderer": page.evaluate(RENDERER),
            "moving_whole": _frames_of(page, _move),
            "zooming": _frames_of(page, _zoom),
            "moving_near": _frames_of(page, _move),
        }


def _frames_of(page: Page, action: Callable[[Page], None]) -> dict[str, float]:
    page.evaluate(COUNT_FRAMES)
    action(page)
    gaps = np.diff(
        page.evaluate("() => { const all = window.drawnAt; delete window.drawnAt; return all }")
    )
    half, most = np.percentile(gaps, [50, 95])
    return {"frames_per_s": 1000 / half, "longest_frame_p95_s": most / 1000}


def _move(page: Page) -> None:
    """Drag the slide in circles."""
    x, y = _middle(page)
    page.mouse.move(x + 150, y)
    page.mouse.down()
    for step in range(STEPS):
        angle = 2 * math.pi * step / 40
        page.mouse.move(x + 150 * math.cos(angle), y + 150 * math.sin(angle))
    page.mouse.up()


def _zoom(page: Page) -> None:
    """Zoom in and out by the wheel, and end nearer than before."""
    page.mouse.move(*_middle(page))
    for step in range(STEPS // 4):
        page.mouse.wheel(0, 100 if step % 8 > 4 else -100)
        page.wait_for_timeout(60)


def _middle(page: Page) -> tuple[float, float]:
    box = page.locator(".scope .map").bounding_box()
    if box is None:
        raise RuntimeError("The slide is not shown.")
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def counted(address: str) -> int:
    """Return how many tiles the count has."""
    states = requests.get(f"{address}/count/tiles", timeout=60).json()["tiles"]
    return sum(tile[-1] in {"counted", "rejected"} for tile in states)


def start_count(page: Page, address: str) -> None:
    """Start a count of the whole area."""
    page.goto(address)
    page.get_by_role("combobox", name=re.compile("White cells")).click()
    page.get_by_role("option", name="Whole area").click()
    page.get_by_role("button", name="Count", exact=True).click()
    _stop_button(page).wait_for(timeout=BEGINS * 1000)


def _stop_button(page: Page) -> Locator:
    return page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True)


def measure(gigapixels: float, seconds: int, folder: Path | None) -> dict[str, Any]:
    """Write the slide, serve it and return the figures. Raises RuntimeError without a count."""
    with TemporaryDirectory(dir=folder) as made:
        path = Path(made, "slides", "large.tif")
        path.parent.mkdir()
        begin = time.perf_counter()
        write_smear(path, ACROSS, max(1, round(gigapixels * 1e9 / PIXELS)))
        writing = time.perf_counter() - begin
        os.environ["LEUKOSCOPE_SLIDE_FOLDERS"] = json.dumps([str(path.parent)])
        os.environ["LEUKOSCOPE_SLIDE_CACHE"] = str(Path(made, "cache"))
        with serving("-m core serve") as server, sync_playwright() as playwright:
            (listed,) = requests.get(f"{server.api}/slides", timeout=60).json()
            address = f"{server.api}/slides/{listed['id']}"
            begin = time.perf_counter()
            slide = requests.get(address, timeout=600).json()
            answered = time.perf_counter() - begin
            asked = views(slide)
            alone = look(server, address, asked, seconds)
            options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
            browser = playwright.chromium.launch(args=["--no-sandbox"], **options)
            shown = f"{server.api.removesuffix('/api')}/microscope?slide={listed['id']}"
            opened = [opening(browser, shown) for _ in range(OPENINGS)]
            page = browser.new_page()
            start_count(page, shown)
            end = time.monotonic() + BEGINS
            while not (before := counted(address)):
                if time.monotonic() > end:
                    raise RuntimeError("The count has no tile.")
                time.sleep(1)
            counting = look(server, address, asked, seconds)
            counting["counted_tiles"] = counted(address) - before
            _stop_button(page).click()
            _stop_button(page).wait_for(state="detached", timeout=BEGINS * 1000)
            page.close()
            drawn = frames(browser, shown, slide)
            browser.close()
        return {
            "width": slide["width"],
            "height": slide["height"],
            "file_megabytes": path.stat().st_size / 1e6,
            "writing_s": writing,
            "opening_s": answered,
            "page_first_opened_s": opened[0],
            "page_opened_s": median(opened[1:]),
            "seconds": seconds,
            "alone": alone,
            "counting": counting,
            "drawing": drawn,
        }


def main() -> int:
    """Measure, print the figures and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigapixels", type=float, default=1.0)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="where the slide is written; usually /tmp")
    options = parser.parse_args()
    figures = measure(options.gigapixels, options.seconds, options.folder)
    text = json.dumps(figures, indent=1)
    RESULT.write_text(f"{text}\n", encoding="utf-8")
    print(text)
    failed = figures["alone"]["failed"] + figures["counting"]["failed"]
    return 1 if failed or not figures["counting"]["counted_tiles"] else 0


if __name__ == "__main__":
    sys.exit(main())
