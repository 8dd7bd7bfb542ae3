"""Where the data pack lies and how tests read from it."""

import io
import os
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

# Speed is measured in the bench, never asserted: a busy machine must not fail a law.
# Changes are judged by the same examples each time; at a desk new ones are tried.
settings.register_profile("leukoscope", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("leukoscope")

ROOT = Path(__file__).resolve().parent.parent

for variable, folder in (("LEUKOSCOPE_DATA", "data"), ("LEUKOSCOPE_WEIGHTS", "weights")):
    location = ROOT.parent / "shared" / folder
    if location.is_dir():
        os.environ.setdefault(variable, str(location))


_MAIN = sys.modules["__main__"]


@pytest.fixture(autouse=True)
def main_module_put_back(monkeypatch):
    """A page leaves its script as the main module, which processes of later tests would run.

    A script that is stopped late does so even after its own test.
    """
    monkeypatch.setitem(sys.modules, "__main__", _MAIN)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of a browser or a cluster two more tries: a busy machine makes them miss a moment.

    The end of the report names them.
    """
    for item in items:
        if {"browser", "cluster"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.flaky(reruns=2))


class Pack:
    """Reads the data pack's zip files without unpacking them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = cache(lambda zip_name: zipfile.ZipFile(folder / zip_name))

    def read(self, zip_name: str, member: str) -> bytes:
        """Bytes of one member, such as `read("bccd.zip", "JPEGImages/BloodImage_00000.webp")`."""
        return self._open(zip_name).read(member)

    def names(self, zip_name: str, prefix: str = "") -> list[str]:
        """Sorted names of the members under a prefix."""
        return sorted(n for n in self._open(zip_name).namelist() if n.startswith(prefix))

    def bccd(self, number: int) -> bytes:
        """WebP bytes of the n-th BCCD field (640 x 480)."""
        return self.read("bccd.zip", self.names("bccd.zip", "JPEGImages/")[number])

    def encoded(self, webp: bytes, form: str = "JPEG", **options: object) -> bytes:
        """Re-encode as the file a user would upload."""
        stream = io.BytesIO()
        with Image.open(io.BytesIO(webp)) as image:
            image.convert("RGB").save(stream, form, **options)
        return stream.getvalue()

    def jpeg(self, webp: bytes) -> bytes:
        """Re-encode as JPEG of good quality."""
        return self.encoded(webp, "JPEG", quality=95)

    def png(self, webp: bytes) -> bytes:
        """Re-encode as PNG."""
        return self.encoded(webp, "PNG")


@pytest.fixture(scope="session")
def pack() -> Pack:
    """Give access to the data pack; skip without it, fail if it is required."""
    folder = Path(os.environ.get("LEUKOSCOPE_DATA", ROOT / "data"))
    if not (folder / "bccd.zip").is_file():
        reason = f"the data pack is not in {folder}; set LEUKOSCOPE_DATA"
        if os.environ.get("LEUKOSCOPE_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Pack(folder)


@pytest.fixture(scope="session")
def analyzer():
    """Give the analyzer of this process, with the shipped models."""
    from core.inference.pipeline import get_analyzer

    return get_analyzer()
