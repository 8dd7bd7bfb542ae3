"""Measures how fast tiles of a large slide come, alone and while its cells are counted.

    python -m benchmarks.slide_speed [--gigapixels 1] [--seconds 60] [--folder FOLDER]

Writes a synthetic slide, tile by tile, into a temporary folder in FOLDER (1.2 GB of disk for 10⁹
pixels), serves it, and asks for tiles as a viewer does: views of six tiles
at random places and zooms, hardly any tile twice. Then Chromium starts a count of the whole area,
and the same number of seconds passes again. Prints seconds, megabytes and tiles as JSON and writes
them to `benchmarks/slide_speed.json`. Run it on a machine that does nothing else.

The exit status is 1 when a tile failed, or when the count did not go on.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import requests
from playwright.sync_api import Page, sync_playwright

from benchmarks.api_load import memory_of
from core.bench.api import Server, serving
from core.settings import PROJECT_ROOT
from core.slides.example import write_smear
from tests.browser.conftest import CHROMIUM

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
            memory.append(memory_of(server.process)[0])
    half, most = np.percentile(times, [50, 95])
    return {
        "tiles": len(times),
        "failed": failed,
        "latency_p50_s": float(half),
        "latency_p95_s": float(most),
        "memory_most_megabytes": max(memory),
    }


def counted(address: str) -> int:
    """Return how many tiles the count has."""
    states = requests.get(f"{address}/count", timeout=60).json()["tiles"]
    return sum(tile[-1] in {"counted", "rejected"} for tile in states)


def start_count(page: Page, server: Server, slide: str) -> None:
    """Start a count of the whole area, and wait for its first tile."""
    page.goto(f"{server.api.removesuffix('/api')}/microscope?slide={slide}")
    page.get_by_text("Whole area", exact=True).click()
    page.get_by_role("button", name="Count", exact=True).click()
    page.get_by_test_id("stMain").get_by_role("button", name="Stop", exact=True).wait_for(
        timeout=BEGINS * 1000
    )


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
            opening = time.perf_counter() - begin
            asked = views(slide)
            alone = look(server, address, asked, seconds)
            options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
            browser = playwright.chromium.launch(args=["--no-sandbox"], **options)
            start_count(browser.new_page(), server, listed["id"])
            end = time.monotonic() + BEGINS
            while not (before := counted(address)):
                if time.monotonic() > end:
                    raise RuntimeError("The count has no tile.")
                time.sleep(1)
            counting = look(server, address, asked, seconds)
            counting["counted_tiles"] = counted(address) - before
            browser.close()
        return {
            "width": slide["width"],
            "height": slide["height"],
            "file_megabytes": path.stat().st_size / 1e6,
            "writing_s": writing,
            "opening_s": opening,
            "seconds": seconds,
            "alone": alone,
            "counting": counting,
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
