"""`python -m core data`: lists the public data sets and fetches them from their own sources.

A download is checked against the SHA-256 in `checksums.json` of the data folder. The publishers
give no checksums; the first download of a file therefore writes its own there, and every later
one must equal it.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import DataError
from core.files import open_atomically, write_atomically
from core.settings import Settings, get_settings

# Commits where they are known, so that the files cannot change under their address.
_GITHUB = "https://github.com/{}/archive/{}.zip"
_WBCATT = (
    "https://raw.githubusercontent.com/apple2373/wbcatt/3121eea24a0977184bbedcb61b90f7a528f7b4e9/"
    "submission/pbc_attr_v1_{}.csv"
)
_PBC = (
    "https://data.mendeley.com/public-files/datasets/snkd93bnjr/files/"
    "2fc38728-2ae7-4a62-a857-032af82334c3/file_downloaded"
)
_KAGGLE = "kaggle:"


@dataclass(frozen=True, slots=True)
class PublicSet:
    """Where a data set comes from and what it holds."""

    what: str
    images: int
    licence: str
    page: str
    parts: Mapping[str, str]
    """Address of each file by its part in the set; `kaggle:owner/name` for Kaggle."""
    archive: str
    """File name in the data folder."""


PUBLIC_SETS: dict[str, PublicSet] = {
    "pbc": PublicSet(
        "single cells of healthy donors, 8 types, with the WBCAtt attributes",
        17_092,
        "CC BY 4.0",
        "https://data.mendeley.com/datasets/snkd93bnjr/1",
        {
            "images": _PBC,
            **{split: _WBCATT.format(split) for split in ("train", "val", "test")},
        },
        "pbc.zip",
    ),
    "kaggle": PublicSet(
        "fields with one white cell of 4 types, many augmented copies",
        12_515,
        "MIT",
        "https://www.kaggle.com/datasets/paultimothymooney/blood-cells",
        {"images": f"{_KAGGLE}paultimothymooney/blood-cells"},
        "kaggle_blood_cells.zip",
    ),
    "taleqani": PublicSet(
        "fields of suspected ALL, 4 classes",
        3_256,
        "none named, research use",
        "https://www.kaggle.com/datasets/mehradaria/leukemia",
        {"images": f"{_KAGGLE}mehradaria/leukemia"},
        "taleqani_all.zip",
    ),
    "txl": PublicSet(
        "fields with boxes of white cells, red cells, platelets",
        1_440,
        "MIT",
        "https://github.com/lugan113/TXL-PBC_Dataset",
        {
            "images": _GITHUB.format(
                "lugan113/TXL-PBC_Dataset", "bcafb7af67467b02b3bac19a95d0e43ebcc5b983"
            )
        },
        "txl_pbc.zip",
    ),
    "bccd": PublicSet(
        "fields with boxes of white cells, red cells, platelets",
        364,
        "MIT",
        "https://github.com/Shenggan/BCCD_Dataset",
        {
            "images": _GITHUB.format(
                "Shenggan/BCCD_Dataset", "d272fb14cdff6e473fafeeeba32aba5f560e9e43"
            )
        },
        "bccd.zip",
    ),
    "cellavision": PublicSet(
        "single cells of a teaching collection, 5 types, with masks",
        100,
        "none named, research use; acknowledge the CellaVision blog",
        "https://github.com/zxaoyou/segmentation_WBC",
        {"images": _GITHUB.format("zxaoyou/segmentation_WBC", "refs/heads/master")},
        "cellavision_cells.zip",
    ),
}


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
            f"{public.what}. {public.page}\n"
        )
    return "".join(lines)


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def get(name: str, settings: Settings, parts: Mapping[str, str] | None = None) -> Path:
    """Download a set unless it is here, pack it, and return its zip.

    `parts` replaces the public addresses. Raises DataError when a source cannot be reached, when
    a file is not the one first downloaded, or when images are missing from it; what was there
    before stays.
    """
    from core.datasets.repack import PACKERS

    public = PUBLIC_SETS[name]
    target = settings.data / public.archive
    if target.is_file():
        return target
    settings.data.mkdir(parents=True, exist_ok=True)
    sources = {
        part: _fetch(address, settings.data) for part, address in (parts or public.parts).items()
    }
    try:
        with open_atomically(target) as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as out:
                PACKERS[name](sources, out, settings.data)
                images = sum(n.endswith(".webp") for n in out.namelist())
            if images == 0:
                raise DataError(f"The download of {name} holds no images. See {public.page}.")
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


def _fetch(address: str, data: Path) -> Path:
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
                progressbar=sys.stderr.isatty(),
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
