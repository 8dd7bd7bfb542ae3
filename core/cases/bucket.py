"""Images in an S3-compatible object store, for replicas that share no folder."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType

from core.cases.blob_store import EncodedImage, ImageStore, checked
from core.errors import PictureMissingError, PictureNotStoredError


@dataclass(frozen=True, slots=True)
class ImageBucket(ImageStore):
    """Images in a bucket.

    An object appears whole when its upload is completed and lasts from then on: what the folder
    gets by syncing and renaming, the object store promises.
    """

    files: FileSystem
    root: str
    """Bucket and folder in it."""

    def path(self, sha256: str) -> str:
        """Return the path of an image."""
        return f"{self.root}/{sha256[:2]}/{sha256}.png"

    def write(self, image: EncodedImage) -> None:
        """Write an image unless it is there. Raises PictureNotStoredError."""
        path = self.path(image.sha256)
        try:
            if self._size(path) != len(image.png):
                with self.files.open_output_stream(path) as stream:
                    stream.write(image.png)
            if self._size(path) != len(image.png):
                raise PictureNotStoredError
        except OSError as error:
            raise PictureNotStoredError from error

    def _size(self, path: str) -> int | None:
        size: int | None = self.files.get_file_info(path).size
        return size

    def load(self, sha256: str) -> bytes:
        """Return the PNG as stored. Raises PictureMissingError when it is gone or changed."""
        try:
            with self.files.open_input_stream(self.path(sha256)) as stream:
                return checked(stream.read(), sha256)
        except OSError as error:
            raise PictureMissingError from error

    def is_empty(self) -> bool:
        """Return whether nothing is stored. Raises OSError."""
        return not self._objects()

    def remove(self, images: Iterable[str]) -> None:
        """Remove images that nothing refers to any more. Raises OSError."""
        for sha256 in images:
            with suppress(FileNotFoundError):
                self.files.delete_file(self.path(sha256))

    def remove_all_but(self, referenced: Collection[str]) -> int:
        """Remove everything that no row refers to; return how many objects. Raises OSError."""
        stray = [
            found.path
            for found in self._objects()
            if found.base_name.removesuffix(".png") not in referenced
        ]
        for path in stray:
            self.files.delete_file(path)
        return len(stray)

    def _objects(self) -> list[FileInfo]:
        everything = FileSelector(self.root, recursive=True, allow_not_found=True)
        return [f for f in self.files.get_file_info(everything) if f.type == FileType.File]


def open_bucket(address: str) -> ImageBucket:
    """Return the images at `s3://bucket/folder?region=...&endpoint_override=host:port`.

    Keys come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`) or the machine's
    role. Raises OSError when no region is named and the store does not name its own.
    """
    files, root = FileSystem.from_uri(address)
    return ImageBucket(files, root.rstrip("/"))
