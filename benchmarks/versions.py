"""Compares speed and memory with an earlier version, in turns on one machine.

    python -m benchmarks.versions REVISION [--rounds 9]

Checks the revision out into a temporary folder. Both versions analyse the same fields (BCCD and
TXL-PBC test) and type the same single cells (PBC test), each in a process of its own, one after the
other in every round: when the machine slows down, the ratios stay. Prints the medians over the
rounds as JSON and writes them to `benchmarks/versions.json`. Run it on a machine that does nothing
else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
RESULT = PROJECT / "benchmarks" / "versions.json"
FIELDS = {"bccd": 24, "txl": 12}
"""By data set, how many of its test images are analysed."""
CELLS = {"pbc": 120}
_WARM = 3
"""Images of each kind that are analysed once before the clock starts."""


def main() -> None:
    """Compare two versions, print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="commit or tag of the earlier version")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, checkout(arguments.revision, Path(folder)) as earlier:
        images = Path(folder, "images")
        write_images(images)
        rounds = [in_turn((earlier, PROJECT), images, k) for k in range(arguments.rounds)]
        figures = {
            "earlier_version": version_of(earlier),
            "earlier_revision": arguments.revision,
            "version": version_of(PROJECT),
            "rounds": arguments.rounds,
            **compared(rounds),
        }
    text = json.dumps(figures, indent=1) + "\n"
    print(text, end="")
    RESULT.write_text(text)


def in_turn(places: Sequence[Path], images: Path, number: int) -> list[dict[str, float]]:
    """Return what is measured in each place; in every other round the last place comes first."""
    order = places if number % 2 == 0 else places[::-1]
    found = {place: measured_in(place, images) for place in order}
    return [found[place] for place in places]


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """Yield a folder with the files of a revision. Raises CalledProcessError for no revision."""
    place = folder / "earlier"
    git = ["git", "-C", str(PROJECT), "worktree"]
    try:
        subprocess.run(  # noqa: S603 - git, with the caller's revision
            [*git, "add", "-q", "--detach", str(place), revision], check=True
        )
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=False)  # noqa: S603


def version_of(place: Path) -> str:
    """Return the version that the project in a folder says it has."""
    return str(tomllib.loads((place / "pyproject.toml").read_text())["project"]["version"])


def write_images(folder: Path) -> None:
    """Write the fields and cells that both versions get as PNG."""
    from core.datasets.readers import open_set

    for kind, sets in (("fields", FIELDS), ("cells", CELLS)):
        (folder / kind).mkdir(parents=True)
        for name, count in sets.items():
            data = open_set(name)
            examples = data.of_split("test")
            for k, example in enumerate(examples[:: max(len(examples) // count, 1)][:count]):
                Image.fromarray(data.read(example)).save(folder / kind / f"{name}_{k}.png")


def measured_in(place: Path, images: Path) -> dict[str, float]:
    """Return what `measure` finds with the version in a folder."""
    with TemporaryDirectory() as store:
        known = {
            "PYTHONPATH": str(place),
            "LEUKOSCOPE_MODELS": str(place / "models"),
            "LEUKOSCOPE_STORE": store,
        }
        others = {k: v for k, v in os.environ.items() if not k.startswith("LEUKOSCOPE_")}
        command = [sys.executable, str(Path(__file__)), "--measure", str(images)]
        done = subprocess.run(  # noqa: S603 - this file
            command, cwd=place, env=others | known, check=True, stdout=subprocess.PIPE
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(images: Path) -> dict[str, float]:
    """Return times and memory of the version that Python finds, with images read before."""
    from core.imaging.read import read_images

    names = ("core.inference.pipeline", "core.inference.analyzer")  # the latter before 0.8
    module = import_module(next(name for name in names if find_spec(name)))
    fields, cells = (
        [read_images(path.read_bytes(), path.name)[0] for path in sorted((images / kind).iterdir())]
        for kind in ("fields", "cells")
    )
    analyzer = module.Analyzer()
    for field, cell in zip(fields[:_WARM], cells[:_WARM], strict=True):
        analyzer.analyze(field)
        analyzer.classify(cell)
    times = []
    for field in fields:
        started = time.perf_counter()
        analyzer.analyze(field)
        times.append(time.perf_counter() - started)
    started = time.perf_counter()
    for cell in cells:
        analyzer.classify(cell)
    # Not `core.bench`: the other version may not have it.
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "field_ms": 1000 * statistics.median(times),
        "cells_per_second": len(cells) / (time.perf_counter() - started),
        "resident_megabytes": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
    }


def compared(rounds: list[list[dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Return by figure the medians of the earlier version and of this one, and their ratio.

    The ratio is the median of the rounds' ratios.
    """
    return {
        name: {
            "earlier": statistics.median(earlier[name] for earlier, _ in rounds),
            "now": statistics.median(now[name] for _, now in rounds),
            "ratio": statistics.median(now[name] / earlier[name] for earlier, now in rounds),
        }
        for name in rounds[0][0]
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        # This file is run as a script then, so that Python finds the other version's `core`.
        print(json.dumps(measure(Path(sys.argv[2]))))
    else:
        main()
