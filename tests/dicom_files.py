"""Writes DICOM files as microscopes' software does, a patient's name among the header."""

import io

import numpy as np
from PIL import Image
from pydicom import Dataset, FileMetaDataset, uid
from pydicom.encaps import encapsulate


def header(kind=uid.VLPhotographicImageStorage, syntax=uid.ExplicitVRLittleEndian):
    """A file without an image."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "MRN-4711"
    return dataset


def native(pixels, **options):
    """H x W x 3 colours or H x W grey values, as they are; several frames with one axis more."""
    dataset = header(**options)
    colours = pixels.shape[-1] == 3
    frames = pixels if pixels.ndim == (4 if colours else 3) else pixels[None]
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    dataset.SamplesPerPixel = 3 if colours else 1
    dataset.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    if colours:
        dataset.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = frames.tobytes()
    return dataset


def compressed(pixels, form, syntax, colours, *, frames=1, **options):
    """As `native`, its frames encoded by Pillow."""
    dataset = native(pixels, syntax=syntax)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    dataset.PhotometricInterpretation = colours
    dataset.PixelData = encapsulate([stream.getvalue()] * frames)
    dataset["PixelData"].VR = "OB"
    if frames > 1:
        dataset.NumberOfFrames = frames
    return dataset


def jpeg(pixels, **options):
    """JPEG of good quality with halved chroma: YBR_FULL_422."""
    return compressed(
        pixels, "JPEG", uid.JPEGBaseline8Bit, "YBR_FULL_422", quality=95, subsampling=1, **options
    )


def with_palette(pixels, colours=64):
    """PALETTE COLOR with 16-bit entries, and the pixels it means."""
    image = Image.fromarray(pixels).quantize(colours)
    dataset = native(np.asarray(image))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    palette = np.array(image.getpalette(), np.uint16).reshape(-1, 3)
    for name, channel in zip(("Red", "Green", "Blue"), palette.T, strict=True):
        descriptor = [len(palette), 0, 16]
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", descriptor)
        setattr(dataset, f"{name}PaletteColorLookupTableData", (channel * 257).tobytes())
    return dataset, np.asarray(image.convert("RGB"))


def written(dataset):
    """The file's bytes."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
