"""DICOM pictures in visible light: what their header says of the pixels, and the first frame.

pydicom (https://pydicom.github.io) parses; Pillow, and pydicom for run lengths, decode. Of the
header only what tells the pixels and their scale is read: the rest holds identifiers.
"""

import logging
import struct
import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, config, dcmread, uid
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels.utils import pixel_array

from core.errors import DamagedImageError, UnsupportedFormatError

_KINDS = {
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.VLMicroscopicImageStorage,
    uid.VLSlideCoordinatesMicroscopicImageStorage,
    uid.VLPhotographicImageStorage,
    uid.VLWholeSlideMicroscopyImageStorage,
}
_NATIVE = {uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian}
_JPEG = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit}
_JPEG_2000 = {uid.JPEG2000Lossless, uid.JPEG2000}
_GREY = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"}
_COLOURS = {"RGB", "YBR_FULL", "YBR_FULL_422"}
_SPACINGS = ("ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PALETTE = [f"{name}PaletteColorLookupTableData" for name in ("Red", "Green", "Blue")]
_READ = [
    *("SOPClassUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PixelData"),
    *("PhotometricInterpretation", "PlanarConfiguration", "PixelRepresentation"),
    *("BitsAllocated", "BitsStored", "RedPaletteColorLookupTableDescriptor", *_PALETTE),
    *("TotalPixelMatrixRows", "TotalPixelMatrixColumns"),
    *("PixelSpacing", "SharedFunctionalGroupsSequence", *_SPACINGS),
]
_EXPORT = "Export it as PNG or TIFF."

# pydicom quotes broken elements in what it logs, names of patients among them.
config.logger.setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\.")
config.settings.reading_validation_mode = config.IGNORE


class DicomPicture:
    """A picture whose header is read and whose pixels wait."""

    def __init__(self, dataset: Dataset, syntax: uid.UID) -> None:
        """Read the header. Raises UnsupportedFormatError and DamagedImageError."""
        self._dataset, self._syntax = dataset, syntax
        self._colours = str(dataset.PhotometricInterpretation)
        self.size = int(dataset.Columns), int(dataset.Rows)
        self.frames = int(dataset.get("NumberOfFrames") or 1)
        self._check_layout()
        grey = "L" if dataset.BitsStored == 8 else "I;16"
        palette = self._colours == "PALETTE COLOR"
        self.mode = "P" if palette else "RGB" if dataset.SamplesPerPixel == 3 else grey
        self.bit_depth = 8 if palette else int(dataset.BitsStored)
        self.bright_is_low = self._colours == "MONOCHROME1"
        self.micrometres = _micrometres(dataset)
        """Of a pixel, across and down, as the header has it; None without."""

    def decode(self) -> NDArray[np.integer]:
        """Return the first frame as stored: RGB or grey values, of 8 or 16 bits.

        `size` must have been checked. Raises whatever decoders raise on damaged data.
        """
        if self._syntax not in _NATIVE:
            frame = get_frame(self._dataset.PixelData, 0, number_of_frames=self.frames)
            if _unpacked_size(frame, self._syntax, self.size) != self.size:
                raise DamagedImageError
        values = pixel_array(self._dataset, index=0)
        return self._through_palette(values) if self.mode == "P" else values

    def _check_layout(self) -> None:
        header = self._dataset
        known = _COLOURS | _GREY
        if self._syntax in _JPEG_2000:
            known = known | {"YBR_ICT", "YBR_RCT"}
        segmented = self._colours == "PALETTE COLOR" and any(
            name not in header for name in _PALETTE
        )
        if self._colours not in known or segmented:
            raise UnsupportedFormatError("A DICOM picture in these colours", _EXPORT)
        if header.SamplesPerPixel != (1 if self._colours in _GREY else 3) or self.frames < 1:
            raise DamagedImageError
        eight_only = self._syntax in _JPEG or (
            header.SamplesPerPixel == 3 and (self._colours != "RGB" or self._syntax in _JPEG_2000)
        )
        bits, words = int(header.BitsStored), (8,) if eight_only else (8, 16)
        if header.BitsAllocated not in words or not 8 <= bits <= header.BitsAllocated:
            raise UnsupportedFormatError(f"A DICOM picture of this kind with {bits} bits", _EXPORT)

    def _through_palette(self, values: NDArray[np.integer]) -> NDArray[np.integer]:
        """Look colours up (PS3.3 C.7.6.3.1.5): lower values get the first, higher ones the last."""
        header = self._dataset
        number, first, bits = (int(n) for n in header.RedPaletteColorLookupTableDescriptor)
        number = number or 2**16
        tables = [header[name].value for name in _PALETTE]
        word = ">u2" if self._syntax == uid.ExplicitVRBigEndian else "<u2"
        stored = word if len(tables[0]) >= 2 * number else "u1"
        palette = np.stack([np.frombuffer(table, stored, number) for table in tables], axis=-1)
        palette = (palette >> (8 if bits == 16 else 0)).astype(np.uint8)
        return palette[np.clip(values.astype(np.int32) - first, 0, number - 1)]


def open_dicom(data: bytes) -> DicomPicture:
    """Read the header of a DICOM file. Raises UnsupportedFormatError, DamagedImageError.

    Broken headers make pydicom raise nearly anything else.
    """
    stream = BytesIO(data)
    stream.seek(132)
    # Not by dcmread, which would inflate a deflated file of any size at once.
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = uid.UID(meta.TransferSyntaxUID)
    if syntax not in _NATIVE | _JPEG | _JPEG_2000 | {uid.RLELossless}:
        raise UnsupportedFormatError(f"A DICOM file in this coding{_named(syntax)}", _EXPORT)
    stream.seek(0)
    dataset = dcmread(stream, specific_tags=list(_READ))
    if dataset.SOPClassUID not in _KINDS:
        kind = _named(dataset.SOPClassUID)
        raise UnsupportedFormatError(f"A DICOM file of this kind{kind}", _EXPORT)
    if "PixelData" not in dataset:
        raise DamagedImageError
    whole = dataset.get("TotalPixelMatrixColumns") or 0, dataset.get("TotalPixelMatrixRows") or 0
    if whole[0] > dataset.Columns or whole[1] > dataset.Rows:
        raise UnsupportedFormatError("A whole slide in DICOM", "Export it as tiled TIFF.")
    return DicomPicture(dataset, syntax)


def _named(identifier: uid.UID) -> str:
    """Return the name in the standard, in brackets; nothing of what the standard does not know."""
    return f" ({identifier.name})" if identifier.keyword else ""


def _micrometres(dataset: Dataset) -> tuple[float, float] | None:
    """Return the first spacing given; in DICOM rows come first, and millimetres."""
    try:
        spacing = dataset.get("PixelSpacing")
        if spacing is None and "SharedFunctionalGroupsSequence" in dataset:
            shared = dataset.SharedFunctionalGroupsSequence[0]
            if "PixelMeasuresSequence" in shared:
                spacing = shared.PixelMeasuresSequence[0].get("PixelSpacing")
        for name in _SPACINGS:
            spacing = dataset.get(name) if spacing is None else spacing
        if spacing is None:
            return None
        down, across = (1000 * float(value) for value in spacing)
    except Exception:  # noqa: BLE001 - a broken scale is no reason to refuse the pixels
        return None
    return across, down


def _unpacked_size(frame: bytes, syntax: uid.UID, claimed: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a compressed frame by its own header, before decoding.

    Run lengths have none; they get the claimed one unless they unpack to far more.
    """
    if syntax != uid.RLELossless:
        with Image.open(BytesIO(frame), formats=("JPEG", "JPEG2000")) as picture:
            return picture.size
    number, *offsets = struct.unpack("<16L", frame[:64])
    ends = [*offsets[1:number], len(frame)]
    limit = 2 * claimed[0] * claimed[1]
    fits = all(_fits(frame[a:b], limit) for a, b in zip(offsets, ends, strict=False))
    return claimed if fits else (0, 0)


def _fits(segment: bytes, limit: int) -> bool:
    """Tell whether a run-length encoded segment unpacks to so few bytes (PS3.5 G.3)."""
    length = place = 0
    while place < len(segment) and length <= limit:
        head = segment[place]
        length += head + 1 if head < 128 else (257 - head) % 129
        place += head + 2 if head < 128 else 1 + (head > 128)
    return length <= limit
