"""Turns the public archives of the data sets into the zips that `datasets` reads.

Pictures are re-encoded as WebP and stored without further compression, so that single ones are
read quickly. Labels keep their published form.
"""

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pandas as pd
from PIL import Image

Files = Iterable[tuple[PurePosixPath, Callable[[], bytes]]]
"""Paths inside a source and how to read them."""

_WEBP_QUALITY = 90
_PBC_SIDE = 192
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
_RUN_LENGTH = 25
"""Neighbouring file numbers that are kept together: they may show one patient."""


def files_of(source: Path) -> Iterator[tuple[PurePosixPath, Callable[[], bytes]]]:
    """Yield the files of a folder or zip, and of zips inside a zip."""
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            yield PurePosixPath(path.relative_to(source).as_posix()), path.read_bytes
        return
    yield from _members(zipfile.ZipFile(source))


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, Callable[[], bytes]]]:
    for name in sorted(archive.namelist()):
        if name.endswith(".zip"):
            yield from _members(zipfile.ZipFile(io.BytesIO(archive.read(name))))
        elif not name.endswith("/"):
            yield PurePosixPath(name), lambda name=name: archive.read(name)  # type: ignore[misc]


def _webp(content: bytes, side: int | None = None) -> bytes:
    with Image.open(io.BytesIO(content)) as picture:
        rgb = picture.convert("RGB")
    if side is not None:
        rgb = rgb.resize((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    rgb.save(stream, "WEBP", quality=_WEBP_QUALITY, method=4)
    return stream.getvalue()


def _is_picture(path: PurePosixPath) -> bool:
    return path.suffix.lower() in _PICTURES and not path.name.startswith(".")


def _share(text: str) -> float:
    """Return a fixed number in 0..1 for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def pbc(parts: dict[str, Path], out: zipfile.ZipFile, folder: Path) -> None:
    """Write PBC with WBCAtt's attributes, and the split beside the zip.

    The five mature types follow WBCAtt's official split; the others a fixed hash of the name
    (60 % train, 10 % val, 30 % test).
    """
    names = []
    for path, read in files_of(parts["pictures"]):
        if _is_picture(path):
            name = f"{path.parent.name}/{path.stem}.webp"
            out.writestr(name, _webp(read(), _PBC_SIDE))
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
    with (folder / "pbc_split.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "label", "fine_label", "split"))
        for name in names:
            share = _share(name)
            hashed = "train" if share < 0.6 else "val" if share < 0.7 else "test"
            fine = PurePosixPath(name).stem.split("_")[0]
            writer.writerow((name, name.split("/")[0], fine, official.get(name, hashed)))


def kaggle(parts: dict[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write the TRAIN, TEST and TEST_SIMPLE fields; the archive holds some of them twice."""
    written = set()
    for path, read in files_of(parts["pictures"]):
        if _is_picture(path) and path.parts[-3] in {"TRAIN", "TEST", "TEST_SIMPLE"}:
            name = "/".join((*path.parts[-3:-1], f"{path.stem}.webp"))
            if name not in written:
                out.writestr(name, _webp(read()))
                written.add(name)


def taleqani(parts: dict[str, Path], out: zipfile.ZipFile, folder: Path) -> None:
    """Write the original fields, and folds that keep runs of file numbers together."""
    names = []
    for path, read in files_of(parts["pictures"]):
        if _is_picture(path) and "Original" in path.parts:
            names.append(f"{path.parent.name}/{path.stem}.webp")
            out.writestr(names[-1], _webp(read()))
    with (folder / "taleqani_folds.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "label", "group", "fold"))
        for name in names:
            label, stem = name.removesuffix(".webp").split("/")
            number = 0
            with suppress(ValueError):
                number = int(stem.rsplit("-", 1)[-1])
            group = f"{label}{number // _RUN_LENGTH:03}"
            writer.writerow((name, label, group, int(5 * _share(group))))


def txl(parts: dict[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write pictures and YOLO labels of the three splits."""
    for path, read in files_of(parts["pictures"]):
        inner = "/".join(path.parts[-3:])
        if _is_picture(path) and inner.startswith("images/"):
            out.writestr(str(PurePosixPath(inner).with_suffix(".webp")), _webp(read()))
        elif path.suffix == ".txt" and inner.startswith("labels/"):
            out.writestr(inner, read())


def bccd(parts: dict[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write fields, Pascal VOC annotations and the lists of the splits."""
    for path, read in files_of(parts["pictures"]):
        if _is_picture(path) and path.parent.name == "JPEGImages":
            out.writestr(f"JPEGImages/{path.stem}.webp", _webp(read()))
        elif path.suffix == ".xml" and path.parent.name == "Annotations":
            out.writestr(f"Annotations/{path.name}", read())
        elif path.suffix == ".txt" and "ImageSets" in path.parts:
            out.writestr(f"ImageSets/{path.name}", read())


def cellavision(parts: dict[str, Path], out: zipfile.ZipFile, _folder: Path) -> None:
    """Write the single cells of `Dataset 2`, their masks and classes."""
    for path, read in files_of(parts["pictures"]):
        if path.parent.name == "Dataset 2" and path.suffix == ".bmp":
            out.writestr(f"images/{path.stem}.webp", _webp(read()))
        elif path.parent.name == "Dataset 2" and path.suffix == ".png":
            out.writestr(f"masks/{path.name}", read())
        elif path.name == "Class Labels of Dataset 2.csv":
            rows = pd.read_csv(io.BytesIO(read()))
            rows.columns = ["image ID", "class"]
            out.writestr("labels.csv", rows.to_csv(index=False))
