"""Turns the public archives of the data sets into the zips that `datasets` reads.

Images are re-encoded as WebP and stored without further compression, so that single ones are
read quickly. Labels keep their published form.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

File = tuple[PurePosixPath, Callable[[], bytes]]
"""Path inside a source and how to read it."""
Packer = Callable[[Mapping[str, Path], zipfile.ZipFile, Path], None]
"""Writes a set's sources, by part, into a zip; lists of splits go into the data folder."""

_WEBP_QUALITY = 90
PBC_SIDE = 192
"""Of a packed cell, in pixels."""
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
_RUN_LENGTH = 25
"""Neighbouring file numbers that are kept together: they may show one patient."""
_NEAR_DUPLICATE_BITS = 3
"""Hashes of two views of one field differ in at most this many of 64 bits."""
_FOLDS = 5

Row = tuple[str, str, str, str]
"""Of a list of splits: path, label, two more columns."""


def files_of(source: Path) -> Iterator[File]:
    """Yield the files of a folder or zip, and of zips inside a zip."""
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            yield PurePosixPath(path.relative_to(source).as_posix()), path.read_bytes
        return
    yield from _members(zipfile.ZipFile(source))


def _members(archive: zipfile.ZipFile) -> Iterator[File]:
    for name in sorted(archive.namelist()):
        if name.endswith(".zip"):
            yield from _members(zipfile.ZipFile(io.BytesIO(archive.read(name))))
        elif not name.endswith("/"):
            yield PurePosixPath(name), lambda name=name: archive.read(name)  # type: ignore[misc]


def webp(content: bytes, side: int | None = None) -> bytes:
    """Return an image file as the packed sets hold it, `side` x `side` px if given."""
    with Image.open(io.BytesIO(content)) as image:
        rgb = image.convert("RGB")
    if side is not None:
        rgb = rgb.resize((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    rgb.save(stream, "WEBP", quality=_WEBP_QUALITY, method=4)
    return stream.getvalue()


def _is_image(path: PurePosixPath) -> bool:
    return path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith(".")


def pbc_split(names: Iterable[str], official: Mapping[str, str]) -> list[Row]:
    """Return path, type, finer type and split of the PBC images.

    The five mature types follow WBCAtt's official split; the others a fixed hash of the file name
    (30 % test, 10 % val, 60 % train).
    """
    rows = []
    for name in sorted(names):
        label, file = name.split("/")
        part = int(hashlib.sha256(file.encode()).hexdigest(), 16) % 100
        hashed = "test" if part < 30 else "val" if part < 40 else "train"
        rows.append((name, label, file.split("_")[0], official.get(name, hashed)))
    return rows


def taleqani_folds(hashes: Mapping[str, int]) -> list[Row]:
    """Return path, label, group and fold (0-4) of the fields, from their 64-bit image hashes.

    The set names no patients. A group is a run of neighbouring file numbers, which may show one
    patient, joined with every run that holds a near-duplicate of one of its fields. In each class
    the largest groups come first, each into the fold with the fewest fields so far.
    """
    names = sorted(hashes)
    labels = [name.split("/")[0] for name in names]
    numbers = [int(PurePosixPath(name).stem.rsplit("-", 1)[-1]) for name in names]
    runs = np.unique(
        [f"{c}{n // _RUN_LENGTH}" for c, n in zip(labels, numbers, strict=True)],
        return_inverse=True,
    )[1]
    values = np.array([hashes[name] for name in names], np.uint64)
    near = np.bitwise_count(values[:, None] ^ values) <= _NEAR_DUPLICATE_BITS
    one, other = np.nonzero(near)
    joined = coo_array((np.ones(one.size), (runs[one], runs[other])))
    group_of = connected_components(joined, directed=False)[1][runs]

    first, sizes = np.unique(group_of, return_index=True, return_counts=True)[1:]
    filled: dict[str, list[int]] = {label: [0] * _FOLDS for label in labels}
    fold_of: dict[int, int] = {}
    for group in sorted(range(first.size), key=lambda g: (-sizes[g], first[g])):
        fill = filled[labels[first[group]]]
        fold_of[group] = fill.index(min(fill))
        fill[fold_of[group]] += int(sizes[group])
    return [
        (name, label, f"g{first[group]:04}", str(fold_of[group]))
        for name, label, group in zip(names, labels, group_of.tolist(), strict=True)
    ]


def _pbc(parts: Mapping[str, Path], out: zipfile.ZipFile, folder: Path) -> None:
    """Write PBC with WBCAtt's attributes, and the split beside the zip."""
    names = []
    for path, read in files_of(parts["images"]):
        if _is_image(path):
            name = f"{path.parent.name}/{path.stem}.webp"
            out.writestr(name, webp(read(), PBC_SIDE))
            names.append(name)
    frames = [
        pd.read_csv(parts[split], keep_default_na=False).assign(split=split)
        for split in ("train", "val", "test")
    ]
    rows = pd.concat(frames, ignore_index=True)
    by_stem = {PurePosixPath(name).stem: name for name in names}
    rows["path"] = [by_stem.get(PurePosixPath(n).stem, "") for n in rows["img_name"]]
    out.writestr("wbcatt.csv", rows.to_csv(index=False))
    official = dict(zip(rows["path"], rows["split"], strict=True))
    split_rows = pd.DataFrame(
        pbc_split(names, official), columns=["path", "label", "fine_label", "split"]
    )
    split_rows.to_csv(folder / "pbc_split.csv", index=False)


def _kaggle(parts: Mapping[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write the TRAIN, TEST and TEST_SIMPLE fields; the archive holds some of them twice."""
    written = set()
    for path, read in files_of(parts["images"]):
        if _is_image(path) and path.parts[-3] in {"TRAIN", "TEST", "TEST_SIMPLE"}:
            name = "/".join((*path.parts[-3:-1], f"{path.stem}.webp"))
            if name not in written:
                out.writestr(name, webp(read()))
                written.add(name)


def _taleqani(parts: Mapping[str, Path], out: zipfile.ZipFile, folder: Path) -> None:
    """Write the original fields, and the folds beside the zip."""
    hashes = {}
    for path, read in files_of(parts["images"]):
        if _is_image(path) and "Original" in path.parts:
            name = f"{path.parent.name}/{path.stem}.webp"
            content = webp(read())
            out.writestr(name, content)
            hashes[name] = picture_hash(content)
    folds = pd.DataFrame(taleqani_folds(hashes), columns=["path", "label", "group", "fold"])
    folds.to_csv(folder / "taleqani_folds.csv", index=False)


def picture_hash(content: bytes) -> int:
    """Return the 64-bit perceptual hash of an image file; near-duplicates differ in few bits."""
    import imagehash

    with Image.open(io.BytesIO(content)) as image:
        return int(str(imagehash.phash(image)), 16)


def _txl(parts: Mapping[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write images and YOLO labels of the three splits."""
    for path, read in files_of(parts["images"]):
        inner = "/".join(path.parts[-3:])
        if _is_image(path) and inner.startswith("images/"):
            out.writestr(str(PurePosixPath(inner).with_suffix(".webp")), webp(read()))
        elif path.suffix == ".txt" and inner.startswith("labels/"):
            out.writestr(inner, read())


def _bccd(parts: Mapping[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write fields, Pascal VOC annotations and the lists of the splits."""
    for path, read in files_of(parts["images"]):
        if _is_image(path) and path.parent.name == "JPEGImages":
            out.writestr(f"JPEGImages/{path.stem}.webp", webp(read()))
        elif path.suffix == ".xml" and path.parent.name == "Annotations":
            out.writestr(f"Annotations/{path.name}", read())
        elif path.suffix == ".txt" and "ImageSets" in path.parts:
            out.writestr(f"ImageSets/{path.name}", read())


def _cellavision(parts: Mapping[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write the single cells of `Dataset 2`, their masks and classes."""
    for path, read in files_of(parts["images"]):
        if path.parent.name == "Dataset 2" and path.suffix == ".bmp":
            out.writestr(f"images/{path.stem}.webp", webp(read()))
        elif path.parent.name == "Dataset 2" and path.suffix == ".png":
            out.writestr(f"masks/{path.name}", read())
        elif path.name == "Class Labels of Dataset 2.csv":
            rows = pd.read_csv(io.BytesIO(read()))
            rows.columns = ["image ID", "class"]
            out.writestr("labels.csv", rows.to_csv(index=False))


PACKERS: dict[str, Packer] = {
    "pbc": _pbc,
    "kaggle": _kaggle,
    "taleqani": _taleqani,
    "txl": _txl,
    "bccd": _bccd,
    "cellavision": _cellavision,
}
