"""`python -m core data`: lists the public data sets and fetches them from their own sources.

A download is checked against the SHA-256 in `checksums.json` of the data folder. The publishers
give no checksums; the first download of a file therefore writes its own there, and every later
one must equal it.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from core.datasets.sources import PUBLIC_SETS, how_to_get
from core.errors import DataError
from core.files import open_atomically, write_atomically
from core.settings import Settings, get_settings

_KAGGLE = "kaggle:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core data`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|get")
    actions.add_parser("list", help="the data sets and whether they are on this machine")
    get = actions.add_parser("get", help="download a data set and pack it for use")
    get.add_argument(
        "name", choices=tuple(PUBLIC_SETS), metavar="NAME", help=", ".join(PUBLIC_SETS)
    )


def run(args: argparse.Namespace) -> int:
    """List or fetch, and return the exit status."""
    settings = get_settings()
    if args.action == "list":
        sys.stdout.write(listing(settings))
    else:
        path = get(args.name, settings)
        sys.stderr.write(f"{args.name} is ready: {path.name}, {_megabytes(path)}.\n")
    return 0


def listing(settings: Settings) -> str:
    """Return a line a set: name, images, size or absence, licence, what it is, source."""
    lines = []
    for name, public in PUBLIC_SETS.items():
        path = settings.data / public.archive
        state = _megabytes(path) if path.is_file() else "not here"
        lines.append(
            f"{name:12} {public.images:>6,} images  {state:>9}  {public.licence}: "
            f"{public.content}. {public.url}\n"
        )
    return "".join(lines)


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


Progress = Callable[[int, int], None]
"""Receives the bytes read of a file and its size, 0 where the server does not say it."""
_TOLD_EVERY = 1 << 20


class _Bar:
    """The progress bar that pooch moves."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._progress, self._done, self._told = progress, 0, 0

    def update(self, read: int) -> None:
        """Count bytes; tell of every megabyte."""
        self._done += read
        if self._done - self._told >= _TOLD_EVERY or self._done == self.total:
            self._told = self._done
            self._progress(self._done, self.total)

    def reset(self) -> None:
        """Start anew: pooch counts the whole file once more at its end."""
        self._done = 0

    def close(self) -> None:
        """Do nothing: the caller owns what is shown."""


def get(
    name: str,
    settings: Settings,
    parts: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download a set unless it is here, pack it, and return its zip.

    `parts` replaces the public addresses; `progress` is told how far each download is. Raises
    DataError when a source cannot be reached, when a file is not the one first downloaded, or when
    images are missing from it; what was there before stays.
    """
    from core.datasets.repack import PACKERS

    public = PUBLIC_SETS[name]
    target = settings.data / public.archive
    if target.is_file():
        return target
    if not public.parts:
        raise DataError(f"The data set {name} is not fetched yet. {how_to_get(name)}.")
    settings.data.mkdir(parents=True, exist_ok=True)
    sources = {
        part: _fetch(address, settings.data, progress)
        for part, address in (parts or public.parts).items()
    }
    try:
        with open_atomically(target) as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as out:
                PACKERS[name](sources, out, settings.data)
                images = sum(n.endswith(".webp") for n in out.namelist())
            if images == 0:
                raise DataError(f"The download of {name} holds no images. See {public.url}.")
        if images != public.images:
            sys.stderr.write(
                f"{name} has {images:,} images, {public.images:,} were expected: its source "
                "changed, and figures measured on it will differ.\n"
            )
    except (zipfile.BadZipFile, OSError, KeyError) as error:
        raise DataError(
            f"The download of {name} is damaged or was changed. Delete it from the folder "
            f"downloads in the data folder and try again."
        ) from error
    return target


def _fetch(address: str, data: Path, progress: Progress | None = None) -> Path:
    """Return a downloaded file, or for Kaggle the folder that its client keeps."""
    if address.startswith(_KAGGLE):
        return _fetch_kaggle(address.removeprefix(_KAGGLE))
    import pooch
    import requests

    lock = data / "checksums.json"
    known: dict[str, str] = json.loads(lock.read_text()) if lock.exists() else {}
    try:
        path = Path(
            pooch.retrieve(
                address,
                known_hash=known.get(address),
                path=data / "downloads",
                downloader=pooch.HTTPDownloader(
                    progressbar=_Bar(progress) if progress else sys.stderr.isatty()
                ),
            )
        )
    except ValueError as error:
        raise DataError(
            f"{address} is no longer the file that was first downloaded. Remove its line from "
            "checksums.json in the data folder if you trust the new one."
        ) from error
    except requests.RequestException as error:
        raise DataError(
            f"{address} cannot be reached or broke off. Check the network and try again."
        ) from error
    if address not in known:
        known[address] = pooch.file_hash(str(path))
        write_atomically(lock, json.dumps(known, indent=1) + "\n")
        sys.stderr.write(f"First download of {address}: its checksum was noted.\n")
    return path


def _fetch_kaggle(handle: str) -> Path:
    try:
        import kagglehub
    except ImportError as error:
        raise DataError(
            "This set is on Kaggle only: run `pip install kagglehub` and try again."
        ) from error
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # the client raises errors of its HTTP library and its own
        raise DataError(
            f"Kaggle did not give {handle}. Check the network and your Kaggle account."
        ) from error
