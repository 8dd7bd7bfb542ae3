"""The stored images: each one once, under the SHA-256 of its file.

The decoded image is kept, upright, as PNG: exactly the pixels that were analysed, and no header,
because headers carry identifiers of patients.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from core.domain.results import Pixels
from core.errors import PictureMissingError, PictureNotStoredError
from core.files import sync_folder, write_atomically


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An encoded image, ready to be written."""

    sha256: str
    png: bytes


def encode(pixels: Pixels) -> EncodedImage:
    """Encode RGB pixels without loss."""
    _, png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    data = png.tobytes()
    return EncodedImage(hashlib.sha256(data).hexdigest(), data)


def checked(png: bytes, sha256: str) -> bytes:
    """Return the bytes. Raises PictureMissingError when they are not those stored."""
    if hashlib.sha256(png).hexdigest() != sha256:
        raise PictureMissingError
    return png


def decode(png: bytes) -> Pixels:
    """Return the RGB pixels of a stored PNG."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(pixels, dtype=np.uint8)


class ImageStore(Protocol):
    """Reads and writes images. Callers hold the write lock of the database to write or remove."""

    def write(self, image: EncodedImage) -> None:
        """Write an image whole or not at all; once this returns it survives a power cut.

        Raises PictureNotStoredError.
        """

    def read(self, sha256: str) -> Pixels:
        """Return the RGB pixels. Raises PictureMissingError when they are gone or changed."""
        return decode(self.load(sha256))

    def load(self, sha256: str) -> bytes:
        """Return the PNG as stored. Raises PictureMissingError when it is gone or changed."""

    def is_empty(self) -> bool:
        """Return whether nothing is stored."""

    def remove(self, images: Iterable[str]) -> None:
        """Remove images that nothing refers to any more."""

    def remove_all_but(self, referenced: Collection[str]) -> int:
        """Remove everything that no row refers to, parts of writes too; return how many files."""


@dataclass(frozen=True, slots=True)
class ImageFolder(ImageStore):
    """Images in a folder, which several machines may share."""

    root: Path

    def path(self, sha256: str) -> Path:
        """Return the path of an image; 256 folders keep each one short."""
        return self.root / sha256[:2] / f"{sha256}.png"

    def write(self, image: EncodedImage) -> None:
        """Write an image whole or not at all; once this returns it survives a power cut.

        Raises PictureNotStoredError.
        """
        path = self.path(image.sha256)
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                sync_folder(self.root)
            if path.exists():
                sync_folder(path.parent)
            else:
                write_atomically(path, image.png)
        except OSError as error:
            raise PictureNotStoredError from error

    def load(self, sha256: str) -> bytes:
        """Return the PNG as stored. Raises PictureMissingError when it is gone or changed."""
        try:
            return checked(self.path(sha256).read_bytes(), sha256)
        except OSError as error:
            raise PictureMissingError from error

    def is_empty(self) -> bool:
        """Return whether nothing is stored."""
        return not any(self.root.glob("??/*"))

    def remove(self, images: Iterable[str]) -> None:
        """Remove images that nothing refers to any more."""
        for sha256 in images:
            self.path(sha256).unlink(missing_ok=True)

    def remove_all_but(self, referenced: Collection[str]) -> int:
        """Remove everything that no row refers to, parts of writes too; return how many files."""
        stray = [path for path in self.root.glob("??/*") if path.stem not in referenced]
        for path in stray:
            path.unlink(missing_ok=True)
        return len(stray)
