"""The main program of a process that reads the focal planes of a slide.

`python plane_reader.py PATH` describes the planes as JSON, and `python plane_reader.py PATH NUMBER`
writes one of them, from 1 nearest to the glass, row by row as RGB bytes after the same line. The
exit status is not 0 for a file without planes, and for a damaged one. As in `probe`, what a client
sent may crash the library that reads it, and nothing else is imported.

Read are OME-TIFF (RGB, 8 bits) with several Z, and DICOM slides whose level of full size lies in
one file.
"""

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

SECONDS = 3600
"""Of processor time."""
_BYTES = 4_000_000_000
"""Of memory."""
_LONGEST_DESCRIPTION = 100_000
_ROWS = 512
"""Of a plane that is not compressed, which are read at a time."""
_NO_PLANES = 3
_WHITE = 255

Rows = Iterator[NDArray[np.uint8]]
"""Parts of a plane from the top, each H x W x 3."""


class _Tiff:
    """The planes of the first image of an OME-TIFF."""

    def __init__(self, path: Path) -> None:
        from tifffile import TiffFile

        self._path = path
        self._file = TiffFile(path, _multifile=False)
        self._image = self._file.series[0]
        sizes = dict(zip(self._image.axes, self._image.shape, strict=True))
        is_read = (
            self._file.is_ome
            and self._image.dtype == np.uint8
            and self._image.keyframe.planarconfig == 1
            and list(sizes) == ["Z", "Y", "X", "S"]
            and sizes["S"] == 3
        )
        self.about: dict[str, Any] = {"number": sizes["Z"] if is_read else 1}
        if is_read:
            self.about |= {"width": sizes["X"], "height": sizes["Y"]}
            self.about["description"] = str(self._file.ome_metadata)[:_LONGEST_DESCRIPTION]

    def rows(self, plane: int) -> Rows:
        """Yield a plane, from 0."""
        if self._image.dataoffset is not None:
            # Planes without directories of their own lie behind the first.
            _, height, width, _ = self._image.shape
            with self._path.open("rb") as file:
                file.seek(self._image.dataoffset + plane * height * width * 3)
                for top in range(0, height, _ROWS):
                    high = min(_ROWS, height - top)
                    data = file.read(high * width * 3)
                    yield np.frombuffer(data, np.uint8).reshape(high, width, 3)
            return
        frame: Any = self._image.pages[plane]
        page = frame.aspage()
        stripe = np.zeros((0, 0, 3), np.uint8)
        width, height = self.about["width"], self.about["height"]
        for segment, (_, _, top, left, _), (_, deep, across, _) in page.segments(maxworkers=1):
            if segment is None:
                raise ValueError("a part of the plane is missing")
            high, wide = min(deep, height - top), min(across, width - left)
            if left == 0:
                if top:
                    yield stripe
                stripe = np.zeros((high, width, 3), np.uint8)
            stripe[:high, left : left + wide] = segment[0, :high, :wide]
        yield stripe


class _Dicom:
    """The planes of a DICOM slide: of its level with the most pixels."""

    def __init__(self, path: Path) -> None:
        from pydicom import dcmread

        tags = ["SeriesInstanceUID", "TotalPixelMatrixColumns", "TotalPixelMatrixFocalPlanes"]
        series = dcmread(path, specific_tags=tags).SeriesInstanceUID
        found = {}
        for other in sorted(path.parent.glob("*.dcm")):
            header = dcmread(other, specific_tags=tags)
            if header.get("SeriesInstanceUID") == series:
                found[other] = int(header.get("TotalPixelMatrixColumns") or 0)
        self._path = max(found, key=lambda other: found[other])
        self._header = header = dcmread(self._path, stop_before_pixels=True)
        number = int(header.get("TotalPixelMatrixFocalPlanes") or 1)
        self.about: dict[str, Any] = {"number": number}
        if number == 1:
            return
        self._side = int(header.Rows), int(header.Columns)
        width, height = int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows)
        measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        spacing = measures.get("PixelSpacing") or (None, None)
        step = measures.get("SpacingBetweenSlices")
        self._down, self._across = -(-height // self._side[0]), -(-width // self._side[1])
        self.about |= {
            "width": width,
            "height": height,
            "millimetres": [side and float(side) for side in spacing],
            "step_millimetres": step and float(step),
        }

    def rows(self, plane: int) -> Rows:
        """Yield a plane, from 0."""
        from pydicom.pixels.utils import iter_pixels

        frames = self._frames(plane)
        decoded = iter_pixels(self._path, indices=[n for row in frames for n in row if n >= 0])
        (deep, wide), (width, height) = self._side, (self.about["width"], self.about["height"])
        for top, row in enumerate(frames):
            stripe = np.full((deep, self._across * wide, 3), _WHITE, np.uint8)
            for left, number in enumerate(row):
                if number >= 0:
                    stripe[:, left * wide : (left + 1) * wide] = next(decoded)
            yield stripe[: height - top * deep, :width]

    def _frames(self, plane: int) -> list[list[int]]:
        """Return the numbers of the frames of a plane by row and column; -1 where there is none.

        Without places of their own (TILED_FULL, PS3.3 C.7.6.17.3) frames follow each other by row,
        then by plane. Otherwise the depths of their places, from the lowest, are the planes.
        """
        if self._header.get("DimensionOrganizationType") == "TILED_FULL":
            first = plane * self._down * self._across
            rows = range(first, first + self._down * self._across, self._across)
            return [list(range(row, row + self._across)) for row in rows]
        places = [
            group.PlanePositionSlideSequence[0]
            for group in self._header.PerFrameFunctionalGroupsSequence
        ]
        depths = sorted({float(place.ZOffsetInSlideCoordinateSystem) for place in places})
        frames = [[-1] * self._across for _ in range(self._down)]
        for number, place in enumerate(places):
            if float(place.ZOffsetInSlideCoordinateSystem) == depths[plane]:
                row = (place.RowPositionInTotalImagePixelMatrix - 1) // self._side[0]
                column = (place.ColumnPositionInTotalImagePixelMatrix - 1) // self._side[1]
                frames[row][column] = number
        return frames


def main(path: Path, plane: int | None, out: BinaryIO) -> int:
    """Describe the planes, and write one of them when its number is given."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    stack = _Dicom(path) if path.suffix.lower() == ".dcm" else _Tiff(path)
    if stack.about["number"] < 2:
        return _NO_PLANES
    out.write(json.dumps(stack.about).encode() + b"\n")
    if plane is not None:
        out.writelines(np.ascontiguousarray(rows).data for rows in stack.rows(plane - 1))
    return 0


if __name__ == "__main__":
    _, asked, *numbers = sys.argv
    sys.exit(main(Path(asked), int(numbers[0]) if numbers else None, sys.stdout.buffer))
