"""A few real cells of every type and subtype of public sets, to compare a cell with.

`reference_cells.toml` names them. They are read from their whole set where it is in the data
folder, else from the folder `reference_cells` of the store, into which `fetch_cells` downloads
them, about 2 MB. They are no part of the project and of no backup.
"""

import hashlib
import io
import json
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import numpy as np
import requests
import urllib3
from PIL import Image, UnidentifiedImageError
from remotezip import RangeNotSupported, RemoteZip, RemoteZipError

from core.datasets.repack import PBC_SIDE, files_of, picture_hash, webp
from core.datasets.sources import PUBLIC_SETS
from core.domain.results import Pixels
from core.domain.taxonomy import SUBTYPES
from core.errors import DataError
from core.files import write_atomically
from core.settings import Settings, get_settings

MICROMETRES_PER_PIXEL = 0.17
"""Of PBC and DeepAPL as they are packed (192 px), by red cells of 7.5 µm."""
FOLDER = "reference_cells"
_CHECKSUMS = "checksums.json"
_SAME_BITS = 6
"""Most bits in which the hashes of two encodings of one image differ: 2 were measured. Different
cells of the list differ in 14 or more."""
_TIMEOUT = (10, 60)
"""Seconds to connect, and between two parts of an answer."""
_BLOCK = 1 << 20
_BROKEN = (
    RemoteZipError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    zipfile.BadZipFile,
    EOFError,
)

Progress = Callable[[float, str], object]
"""Receives the share that is done, 0 to 1, and what is done in words."""


@dataclass(frozen=True, slots=True)
class PublicCell:
    """One cell of a public set."""

    set: str
    """One of `PUBLIC_SETS`."""
    member: str
    """In the packed set."""
    fingerprint: int
    """Perceptual hash of its image, 64 bits."""


@dataclass(frozen=True, slots=True)
class CellSource:
    """Where the cells of a set come from, and whom to credit."""

    address: str
    credit: str
    cells: Mapping[str, tuple[PublicCell, ...]]
    """By type or subtype, the clearest first."""
    files: tuple[str, ...]
    """Paths below the address; empty where the address is one archive."""


@cache
def cell_sources() -> dict[str, CellSource]:
    """Return the sources of cells by the name of their set."""
    described = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {
        name: CellSource(
            address=source["address"],
            credit=source["credit"],
            cells={
                key: tuple(
                    PublicCell(name, member, int(fingerprint, 16))
                    for member, fingerprint in map(str.split, lines)
                )
                for key, lines in source["cells"].items()
            },
            files=tuple(chain(*source.get("files", {}).values())),
        )
        for name, source in described.items()
    }


def public_cells(key: str) -> tuple[PublicCell, ...]:
    """Return the cells of a type or subtype; those of its subtypes in turns where a type has none.

    Empty for what is in no set.
    """
    listed = {k: cells for source in cell_sources().values() for k, cells in source.cells.items()}
    if key in listed:
        return listed[key]
    finer = [listed[s.key] for s in SUBTYPES.values() if s.type == key and s.key in listed]
    return tuple(cell for turn in zip_longest(*finer) for cell in turn if cell)


def read_cells(
    cells: Iterable[PublicCell], count: int, settings: Settings | None = None
) -> list[tuple[PublicCell, Pixels]]:
    """Return the first cells that are on this machine, each with its image, 192 x 192 x 3 RGB.

    A file that is damaged or was changed counts as absent.
    """
    settings = settings or get_settings()
    reader = _Reader(settings)
    found: list[tuple[PublicCell, Pixels]] = []
    for cell in cells:
        if len(found) == count:
            break
        pixels = reader.read(cell)
        if pixels is not None:
            found.append((cell, pixels))
    return found


class _Reader:
    """Reads cells of whole sets and of the store, and opens each archive once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.store / FOLDER
        self._checksums = _read_checksums(self._folder)
        self._archives: dict[str, zipfile.ZipFile | None] = {}

    def read(self, cell: PublicCell) -> Pixels | None:
        content = self._of_set(cell) or self._kept(cell)
        return None if content is None else _decoded(content)

    def _of_set(self, cell: PublicCell) -> bytes | None:
        if cell.set not in self._archives:
            path = self._settings.data / PUBLIC_SETS[cell.set].archive
            try:
                self._archives[cell.set] = zipfile.ZipFile(path)
            except (OSError, zipfile.BadZipFile):
                self._archives[cell.set] = None
        archive = self._archives[cell.set]
        try:
            return archive.read(cell.member) if archive else None
        except (KeyError, OSError, zipfile.BadZipFile):
            return None

    def _kept(self, cell: PublicCell) -> bytes | None:
        try:
            content = (self._folder / cell.set / cell.member).read_bytes()
        except OSError:
            return None
        is_whole = hashlib.sha256(content).hexdigest() == self._checksums.get(_name(cell))
        return content if is_whole else None


def _name(cell: PublicCell) -> str:
    return f"{cell.set}/{cell.member}"


def _decoded(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def _read_checksums(folder: Path) -> dict[str, str]:
    try:
        checksums: dict[str, str] = json.loads((folder / _CHECKSUMS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return checksums


def sets_to_fetch(key: str, settings: Settings | None = None) -> tuple[str, ...]:
    """Return the sets that have cells of a type or subtype of which none is on this machine."""
    names = dict.fromkeys(cell.set for cell in public_cells(key))
    return tuple(
        name
        for name in names
        if not read_cells((c for c in public_cells(key) if c.set == name), 1, settings)
    )


def fetch_cells(
    name: str,
    settings: Settings | None = None,
    progress: Progress | None = None,
    address: str | None = None,
) -> int:
    """Download the cells of a set into the store and return their number.

    `address` replaces the public one. Of an archive only these cells are read, the whole of it
    where its server cannot give parts. Raises DataError when the source cannot be reached, breaks
    off, or has other images; what came before is kept.
    """
    settings = settings or get_settings()
    source, folder = cell_sources()[name], settings.store / FOLDER
    cells = list(chain(*source.cells.values()))
    wanted = len(source.files) or len(cells)
    progress = progress or (lambda _share, _text: None)
    address = address or source.address
    progress(0.0, "Connecting")
    kept = 0
    try:
        with requests.Session() as session:
            contents = (
                _files(session, address, source.files)
                if source.files
                else _members(session, address, cells, folder, progress)
            )
            for number, content in enumerate(contents, 1):
                kept += _keep(content, cells, folder)
                progress(number / wanted, f"{number} of {wanted} cells")
    except _BROKEN as error:
        raise DataError(
            f"{PUBLIC_SETS[name].name} cannot be reached or broke off after {kept} of {wanted} "
            "cells, which are kept. Check the network of the server and try again."
        ) from error
    except OSError as error:
        raise DataError(
            "The reference cells cannot be written to the store. Make room, or let the server "
            "write there, and try again."
        ) from error
    if kept < wanted:
        raise DataError(
            f"{wanted - kept} of {wanted} cells of {PUBLIC_SETS[name].name} are missing or are "
            f"not the expected images: its source changed. The {kept} others are kept."
        )
    return kept


def _keep(content: bytes, cells: Iterable[PublicCell], folder: Path) -> bool:
    """Write an image into the store if it is one of the cells; return whether it is."""
    try:
        packed = webp(content, PBC_SIDE)
        fingerprint = picture_hash(packed)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return False
    cell = min(cells, key=lambda cell: (cell.fingerprint ^ fingerprint).bit_count())
    if (cell.fingerprint ^ fingerprint).bit_count() > _SAME_BITS:
        return False
    path = folder / cell.set / cell.member
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, packed)
    checksums = _read_checksums(folder) | {_name(cell): hashlib.sha256(packed).hexdigest()}
    write_atomically(folder / _CHECKSUMS, json.dumps(checksums, indent=1, sort_keys=True) + "\n")
    return True


def _files(session: requests.Session, address: str, files: Iterable[str]) -> Iterator[bytes]:
    for file in files:
        answer = session.get(address + quote(file), timeout=_TIMEOUT)
        answer.raise_for_status()
        yield answer.content


def _members(
    session: requests.Session,
    address: str,
    cells: Iterable[PublicCell],
    folder: Path,
    progress: Progress,
) -> Iterator[bytes]:
    """Yield the cells of an archive that is not downloaded, if its server gives parts of it."""
    stems = [PurePosixPath(cell.member).stem for cell in cells]
    try:
        with RemoteZip(address, session=session, timeout=_TIMEOUT) as archive:
            names = {PurePosixPath(name).stem: name for name in archive.namelist()}
            present = [names[stem] for stem in stems if stem in names]
            if present:
                yield from map(archive.read, present)
                return
    except RangeNotSupported:
        pass
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part") as whole:
        with session.get(address, stream=True, timeout=_TIMEOUT) as answer:
            answer.raise_for_status()
            total, done = int(answer.headers.get("Content-Length", 0)), 0
            for block in answer.iter_content(_BLOCK):
                whole.write(block)
                done += len(block)
                progress(done / total if total else 0.0, f"{done / 1e6:.0f} MB")
        whole.flush()
        for path, read in files_of(Path(whole.name)):
            if path.stem in stems:
                yield read()
