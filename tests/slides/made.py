"""Slides as files of several formats, from one synthetic slide."""

import cv2
import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import VLWholeSlideMicroscopyImageStorage
from tifffile import TiffWriter

from core.synthetic.fields import make_field
from core.synthetic.slides import make_slide, write_slide
from tests import dicom_files

SIZE = 1600, 1200


def a_slide():
    return make_slide(*SIZE, [(make_field(3, 640, 480, red_cell_pixels=48), 700, 500)])


def svs(slide, path):
    write_slide(slide, path)
    return path


def ome_tiff_with_subifds(slide, path):
    scale = slide.micrometres_per_pixel
    with TiffWriter(path, ome=True) as writer:
        writer.write(
            slide.pixels,
            subifds=1,
            photometric="rgb",
            tile=(256, 256),
            metadata={"axes": "YXS", "PhysicalSizeX": scale, "PhysicalSizeXUnit": "µm"},
        )
        writer.write(
            cv2.resize(slide.pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
            subfiletype=1,
            photometric="rgb",
            tile=(256, 256),
        )
    return path


def dicom(slide, folder, series="1.2.3.4", tile=256, *, planes=None, sparse=False):
    """Write one level of a slide, tile by tile, with a patient's name in the header.

    `planes` are its focal planes instead of one; with `sparse` each frame says where it lies, and
    the planes come in turn for each place.
    """
    height, width = slide.pixels.shape[:2]
    down, across = -(-height // tile), -(-width // tile)
    stack = slide.pixels[None] if planes is None else planes
    padded = np.full((len(stack), down * tile, across * tile, 3), 255, np.uint8)
    padded[:, :height, :width] = stack
    tiled = padded.reshape(len(stack), down, tile, across, tile, 3).swapaxes(2, 3)
    order = (1, 2, 0, 3, 4, 5) if sparse else (0, 1, 2, 3, 4, 5)
    frames = tiled.transpose(order).reshape(-1, tile, tile, 3)
    made = dicom_files.native(frames, kind=VLWholeSlideMicroscopyImageStorage)
    made.SeriesInstanceUID, made.StudyInstanceUID = series, "1.2.3.5"
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    made.TotalPixelMatrixColumns, made.TotalPixelMatrixRows = width, height
    made.TotalPixelMatrixFocalPlanes = len(stack)
    made.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
    made.NumberOfFrames = len(frames)
    made.Modality = "SM"
    made.FrameOfReferenceUID = "1.2.3.6"
    measures = Dataset()
    measures.PixelSpacing = [slide.micrometres_per_pixel / 1000] * 2
    measures.SpacingBetweenSlices = 0.0005
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    optical = Dataset()
    optical.OpticalPathIdentifier = "1"
    made.OpticalPathSequence = Sequence([optical])
    if sparse:
        places = [(r, c, z) for r in range(down) for c in range(across) for z in range(len(stack))]
        made.PerFrameFunctionalGroupsSequence = Sequence([_place(*at, tile) for at in places])
    folder.mkdir(exist_ok=True)
    made.save_as(folder / "level_1.dcm", enforce_file_format=True)
    return folder / "level_1.dcm"


def _place(row, column, plane, tile):
    place = Dataset()
    place.RowPositionInTotalImagePixelMatrix = row * tile + 1
    place.ColumnPositionInTotalImagePixelMatrix = column * tile + 1
    place.XOffsetInSlideCoordinateSystem = place.YOffsetInSlideCoordinateSystem = 0
    place.ZOffsetInSlideCoordinateSystem = 0.5 * plane
    group = Dataset()
    group.PlanePositionSlideSequence = Sequence([place])
    return group


def focus_stack(slide, blurs=(2.5, 0, 2.5)):
    """Return a slide in several focal planes, each blurred by a sigma in pixels."""
    return np.stack(
        [cv2.GaussianBlur(slide.pixels, (0, 0), s) if s else slide.pixels for s in blurs]
    )


def ome_tiff_with_planes(slide, path, **options):
    """Write three focal planes, half a micrometre apart."""
    scale = slide.micrometres_per_pixel
    sizes = {"PhysicalSizeX": scale, "PhysicalSizeY": scale, "PhysicalSizeZ": 0.5}
    with TiffWriter(path, ome=True) as writer:
        writer.write(
            focus_stack(slide), photometric="rgb", metadata={"axes": "ZYXS", **sizes}, **options
        )
    return path
