"""DICOM images in visible light: what their header says of the pixels, and every frame.

pydicom (https://pydicom.github.io) parses and unpacks run lengths, imagecodecs decodes JPEG and
JPEG 2000. Of the header only what describes the pixels and their scale is read: the rest holds
identifiers.
"""

import logging
import struct
import warnings
from collections import Counter
from collections.abc import Hashable
from functools import partial
from io import BytesIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, config, dcmread, uid
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels.utils import pixel_array

from core.domain.results import Pixels
from core.errors import DamagedImageError, UnsupportedFormatError
from core.imaging.colour import palette_to_8_bits, profile_to_srgb, to_8_bits, ycbcr_to_rgb
from core.imaging.jpeg import (
    Colours,
    decode_jpeg,
    is_luminance_and_chroma,
    jpeg_2000_header,
    jpeg_header,
)
from core.imaging.planes import Allowance, Plane, Reader
from core.imaging.scale import microscope_scale

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
_JPEG = {
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
}
_JPEG_2000 = {
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
}
_JPEG_LS = 0xF7
_WITHOUT_LOSS = (0xC3, _JPEG_LS)
_GREY = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"}
_CHROMA = {"YBR_FULL", "YBR_FULL_422"}
_SPACINGS = ("ImagerPixelSpacing", "NominalScannedPixelSpacing")
_PALETTE = [f"{name}PaletteColorLookupTableData" for name in ("Red", "Green", "Blue")]
_READ = [
    *("SOPClassUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PixelData"),
    *("PhotometricInterpretation", "PlanarConfiguration", "PixelRepresentation"),
    *("BitsAllocated", "BitsStored", "RedPaletteColorLookupTableDescriptor", *_PALETTE),
    *("TotalPixelMatrixRows", "TotalPixelMatrixColumns"),
    *("PixelSpacing", "SharedFunctionalGroupsSequence", *_SPACINGS),
    *("PerFrameFunctionalGroupsSequence", "TotalPixelMatrixFocalPlanes"),
    *("ICCProfile", "OpticalPathSequence"),
]
_POSITIONS = (
    "ColumnPositionInTotalImagePixelMatrix",
    "RowPositionInTotalImagePixelMatrix",
    "XOffsetInSlideCoordinateSystem",
    "YOffsetInSlideCoordinateSystem",
    "ZOffsetInSlideCoordinateSystem",
)
_EXPORT = "Export it as PNG or TIFF."
_OTHER_COLOURS = (
    "The DICOM header and the compressed data name different colour spaces. The data was followed; "
    "check that the colours look right."
)

# pydicom quotes broken elements in what it logs, names of patients among them.
config.logger.setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\.")
config.settings.reading_validation_mode = config.IGNORE


class DicomImages:
    """The frames of a file. Its header is parsed; pixels are decoded on demand."""

    def __init__(self, dataset: Dataset, syntax: uid.UID, allowance: Allowance) -> None:
        """Read the header. Raises UnsupportedFormatError, DamagedImageError, TooLargeError."""
        self._dataset, self._syntax, self._allowance = dataset, syntax, allowance
        self._colours = str(dataset.PhotometricInterpretation)
        self._size = int(dataset.Columns), int(dataset.Rows)
        self._frames = int(dataset.get("NumberOfFrames") or 1)
        self._check_layout()
        grey = "L" if dataset.BitsStored == 8 else "I;16"
        palette = self._colours == "PALETTE COLOR"
        self._mode = "P" if palette else "RGB" if dataset.SamplesPerPixel == 3 else grey
        self._bit_depth = 8 if palette else int(dataset.BitsStored)
        self._micrometres = _micrometres(dataset)
        self._profile = _profile(dataset)

    def readers(self) -> list[Reader]:
        """Return a reader of each frame, in the order of the file. Raises TooLargeError."""
        self._allowance.check_number(self._frames)
        stacks = self._stacks()
        return [partial(self._plane, index, stacks[index]) for index in range(self._frames)]

    def _plane(self, index: int, stack: Hashable) -> Plane:
        self._allowance.check(self._size)
        values, notes = self._decode(index)
        pixels = values if values.dtype == np.uint8 else to_8_bits(values)
        pixels = 255 - pixels if self._colours == "MONOCHROME1" else pixels
        image = Image.fromarray(np.ascontiguousarray(pixels))
        if self._profile:
            image, more = profile_to_srgb(image, self._profile)
            notes += more
        scale = microscope_scale(self._micrometres)
        rgb = np.array(image.convert("RGB"))
        return Plane(rgb, self._mode, self._bit_depth, scale, notes, stack=stack)

    def _decode(self, index: int) -> tuple[NDArray[np.integer], tuple[str, ...]]:
        """Return a frame as RGB or grey values, of 8 or 16 bits; the second value are notes.

        Raises whatever decoders raise on damaged data.
        """
        notes: tuple[str, ...] = ()
        if self._syntax in _NATIVE or self._syntax == uid.RLELossless:
            if self._syntax == uid.RLELossless:
                self._check_run_lengths(self._frame(index))
            values = pixel_array(self._dataset, index=index)
        elif self._syntax in _JPEG:
            values, notes = self._decode_jpeg(self._frame(index))
        else:
            values, notes = self._decode_jpeg_2000(self._frame(index))
        return (self._through_palette(values) if self._mode == "P" else values), notes

    def _frame(self, index: int) -> bytes:
        return get_frame(self._dataset.PixelData, index, number_of_frames=self._frames)

    def _check_run_lengths(self, frame: bytes) -> None:
        """Raise DamagedImageError when a frame unpacks to far more than its header says."""
        number, *offsets = struct.unpack("<16L", frame[:64])
        ends = [*offsets[1:number], len(frame)]
        limit = 2 * self._size[0] * self._size[1]
        if not all(_fits(frame[a:b], limit) for a, b in zip(offsets, ends, strict=False)):
            raise DamagedImageError

    def _decode_jpeg(self, frame: bytes) -> tuple[NDArray[np.integer], tuple[str, ...]]:
        """Decode with the colours of the codestream, whatever the header calls them (PS3.5 8.2.1).

        Where the codestream says nothing and the header says RGB the samples decide.
        """
        header = jpeg_header(frame)
        self._check_frame(header.size, len(header.identifiers))
        if self._mode != "RGB":
            return decode_jpeg(frame), ()
        labelled: Colours = "RGB" if self._colours == "RGB" else "YCBCR"
        stored = header.colours
        if stored is None and labelled == "RGB" and header.frame != _JPEG_LS:
            raw = decode_jpeg(frame, stored="RGB")
            if not is_luminance_and_chroma(raw):
                return raw, ()
            stored = "YCBCR"
        stored = stored or labelled
        if header.frame in _WITHOUT_LOSS:  # which has no colour transform of its own
            values = decode_jpeg(frame, stored="RGB")
            return (_as_rgb(values) if labelled == "YCBCR" else values), ()
        return decode_jpeg(frame, stored=stored), () if stored == labelled else (_OTHER_COLOURS,)

    def _decode_jpeg_2000(self, frame: bytes) -> tuple[NDArray[np.integer], tuple[str, ...]]:
        """Decode; the codestream says whether it holds a colour transform, the header what else."""
        header = jpeg_2000_header(frame)
        self._check_frame(header.size, header.components)
        values = np.asarray(imagecodecs.jpeg2k_decode(frame))
        if self._mode != "RGB" or values.dtype != np.uint8:
            return values, ()
        if header.transformed:
            return values, (_OTHER_COLOURS,) if self._colours in _CHROMA else ()
        if self._colours == "RGB":
            return values, ()
        chroma = self._colours in _CHROMA or is_luminance_and_chroma(values)
        notes = () if self._colours in _CHROMA else (_OTHER_COLOURS,)
        return (_as_rgb(values) if chroma else values), notes

    def _check_frame(self, size: tuple[int, int], components: int) -> None:
        """Raise DamagedImageError when a frame is not what the header says, before decoding it."""
        if size != self._size or components != self._dataset.SamplesPerPixel:
            raise DamagedImageError

    def _stacks(self) -> list[Hashable]:
        """Return for each frame the place of its focus stack on the slide; None without a stack."""
        header = self._dataset
        if self._frames > 1 and header.get("TotalPixelMatrixFocalPlanes") == self._frames:
            return ["all"] * self._frames
        places = [_place(group) for group in header.get("PerFrameFunctionalGroupsSequence") or ()]
        if len(places) != self._frames or None in places:
            return [None] * self._frames
        depths = Counter(place[:-1] for place in set(places) if place is not None)
        return [
            place[:-1] if place is not None and depths[place[:-1]] > 1 else None for place in places
        ]

    def _check_layout(self) -> None:
        header = self._dataset
        known = _CHROMA | _GREY | {"RGB"}
        if self._syntax in _JPEG_2000:
            known = known | {"YBR_ICT", "YBR_RCT"}
        segmented = self._colours == "PALETTE COLOR" and any(
            name not in header for name in _PALETTE
        )
        if self._colours not in known or segmented:
            raise UnsupportedFormatError("A DICOM image in these colours", _EXPORT)
        if header.SamplesPerPixel != (1 if self._colours in _GREY else 3) or self._frames < 1:
            raise DamagedImageError
        bits = int(header.BitsStored)
        words = (8,) if self._colours in _CHROMA else (8, 16)
        if header.BitsAllocated not in words or not 8 <= bits <= header.BitsAllocated:
            raise UnsupportedFormatError(f"A DICOM image of this kind with {bits} bits", _EXPORT)
        if header.SamplesPerPixel == 3 and header.get("PlanarConfiguration") is None:
            header.PlanarConfiguration = 0  # by far the usual one

    def _through_palette(self, values: NDArray[np.integer]) -> NDArray[np.integer]:
        """Look colours up (PS3.3 C.7.6.3.1.5): lower values get the first, higher ones the last."""
        header = self._dataset
        number, first, bits = (int(n) for n in header.RedPaletteColorLookupTableDescriptor)
        number = number or 2**16
        tables = [header[name].value for name in _PALETTE]
        word = ">u2" if self._syntax == uid.ExplicitVRBigEndian else "<u2"
        stored = word if len(tables[0]) >= 2 * number else "u1"
        palette = np.stack([np.frombuffer(table, stored, number) for table in tables], axis=-1)
        palette = palette_to_8_bits(palette if bits == 16 else palette.astype(np.uint8))
        return palette[np.clip(values.astype(np.int32) - first, 0, number - 1)]


def open_dicom(data: bytes, allowance: Allowance) -> DicomImages:
    """Read the header of a DICOM file. Raises UnsupportedFormatError, DamagedImageError.

    Broken headers make pydicom raise nearly anything else.
    """
    stream = BytesIO(data if data[128:132] == b"DICM" else b"\0" * 128 + b"DICM" + data)
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
    return DicomImages(dataset, syntax, allowance)


def _place(group: Dataset) -> tuple[str, ...] | None:
    """Return where on the slide a frame lies, its depth last (PS3.3 C.8.12.6.1); None without."""
    position = group.get("PlanePositionSlideSequence")
    if not position:
        return None
    return tuple(str(position[0].get(name)) for name in _POSITIONS)


def _profile(dataset: Dataset) -> bytes | None:
    """Return the ICC profile of the image or of its optical path; None without."""
    paths = dataset.get("OpticalPathSequence") or ()
    found = dataset.get("ICCProfile") or next((path.get("ICCProfile") for path in paths), None)
    return bytes(found) if found else None


def _as_rgb(samples: NDArray[np.integer]) -> Pixels:
    """Convert YCbCr of 8 bits to RGB. Raises UnsupportedFormatError for deeper ones."""
    if samples.dtype != np.uint8:
        raise UnsupportedFormatError("Deep luminance and chroma in DICOM", _EXPORT)
    return ycbcr_to_rgb(samples.astype(np.uint8))


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
    except Exception:  # noqa: BLE001 - a broken scale is no reason to reject the pixels
        return None
    return across, down


def _fits(segment: bytes, limit: int) -> bool:
    """Return whether a run-length encoded segment unpacks to so few bytes (PS3.5 G.3)."""
    length = place = 0
    while place < len(segment) and length <= limit:
        head = segment[place]
        length += head + 1 if head < 128 else (257 - head) % 129
        place += head + 2 if head < 128 else 1 + (head > 128)
    return length <= limit
