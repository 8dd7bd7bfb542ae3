"""Writes the licences of all installed packages and of the fonts, with their full texts.

Run `python deploy/notices.py > THIRD_PARTY_NOTICES.txt` with the Python that has the packages.
Packages under the LGPL (psycopg, openslide, fpdf2) are installed unchanged, so that they can be
replaced; each entry names its source.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

_FONTS = Path(__file__).resolve().parents[1] / "assets" / "fonts"
_TEXTS = re.compile(r"(^|/)(LICEN[CS]E|COPYING|NOTICE|AUTHORS|COPYRIGHT)[^/]*$", re.IGNORECASE)
_LONGEST_NAME = 100
"""Characters; some packages put the whole text in place of its name."""


def notices() -> Iterator[str]:
    """Yield the notice of each package (version, licence, source, texts), then of the fonts."""
    packages = {found.metadata["Name"].lower(): found for found in distributions()}
    for _, package in sorted(packages.items()):
        yield f"{'=' * 80}\n{package.metadata['Name']} {package.version}\n"
        yield f"Licence: {licence_of(package)}\nSource: {source_of(package)}\n"
        for text in texts_of(package):
            yield f"\n{text.rstrip()}\n"
    yield f"{'=' * 80}\nDejaVu 2.35\nLicence: Bitstream Vera and Arev\n"
    yield "Source: https://dejavu-fonts.github.io (of the bold font a part)\n"
    yield f"\n{(_FONTS / 'LICENSE_DEJAVU').read_text(encoding='utf-8').rstrip()}\n"


def licence_of(package: Distribution) -> str:
    """Return the name of the licence; `see its text` when the package only has a text."""
    data = package.metadata
    named = data.get("License-Expression") or data.get("License") or ""
    if named and len(named) <= _LONGEST_NAME * 3 and "\n" not in named:
        return named
    classified = [
        value.rpartition(" :: ")[2]
        for value in data.get_all("Classifier", [])
        if value.startswith("License ::")
    ]
    return ", ".join(classified) or "see its text"


def source_of(package: Distribution) -> str:
    """Return the address of a package's source."""
    links = [value.partition(", ") for value in package.metadata.get_all("Project-URL", [])]
    by_name = {name.lower(): address for name, _, address in links}
    for name in ("source", "source code", "repository", "code", "github", "homepage"):
        if name in by_name:
            return by_name[name]
    return package.metadata.get("Home-page") or next(iter(by_name.values()), "not named")


def texts_of(package: Distribution) -> Iterator[str]:
    """Yield the licence texts that a package ships."""
    for file in package.files or ():
        if _TEXTS.search(str(file)) and file.suffix not in {".py", ".pyc", ".pyi"}:
            path = file.locate()
            if path.is_file():
                yield path.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.writelines(notices())
