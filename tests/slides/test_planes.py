"""Slides with focal planes are shown plane by plane, the middle one first."""

import cv2
import numpy as np
import pytest

from core.errors import DamagedSlideError, StoreUnavailableError, TileNotFoundError
from core.settings import Settings
from core.slides.analysis import analyze_tiles
from core.slides.counting import SlideCount
from core.slides.current import delete_slide, get_folders, get_views
from core.slides.folders import SlideFolders
from core.slides.planes import FocusPlanes, focus_planes
from core.slides.tiles import TILE
from core.slides.uploads import SlideUploads
from tests.slides import made
from tests.slides.test_counting import find

PLANES = FocusPlanes(3, 0.5)
TILED = {"tile": (256, 256), "compression": "zlib"}


@pytest.fixture(scope="module")
def slide():
    return made.a_slide()


@pytest.fixture
def settings(tmp_path):
    return Settings(
        _env_file=None, slide_cache=tmp_path / "cache", slide_uploads=tmp_path / "uploads"
    )


def no_store():
    raise StoreUnavailableError


def written(kind, slide, folder):
    folder.mkdir(exist_ok=True)
    if kind == "tiled":
        return made.ome_tiff_with_planes(slide, folder / "stack.ome.tif", **TILED)
    if kind == "contiguous":
        return made.ome_tiff_with_planes(slide, folder / "stack.ome.tif")
    return made.dicom(
        slide, folder / "dicom", planes=made.focus_stack(slide), sparse=kind == "sparse dicom"
    )


@pytest.mark.parametrize("kind", ["tiled", "contiguous", "dicom", "sparse dicom"])
def test_every_plane_is_shown_and_the_middle_one_first(kind, slide, settings, tmp_path):
    folder = tmp_path / "slides"
    written(kind, slide, folder)
    (file,) = SlideFolders([folder]).slides().values()
    views = get_views(settings)
    view = views.view(file)
    assert view.planes == PLANES
    assert view.planes.middle == 2
    assert views.view(file, 2) is view
    assert view.micrometres_per_pixel == pytest.approx(slide.micrometres_per_pixel, rel=1e-3)
    for number, plane in enumerate(made.focus_stack(slide), 1):
        shown = views.view(file, number)
        assert (shown.width, shown.height) == (slide.pixels.shape[1], slide.pixels.shape[0])
        tile = shown.tile(shown.last_zoom, 1, 1).astype(int)
        assert np.abs(tile - plane[TILE : 2 * TILE, TILE : 2 * TILE]).mean() < 2
    for number in (4, 1000):
        with pytest.raises(TileNotFoundError):
            views.view(file, number)
    tiles = {views.jpeg(file, 0, 0, 0, light=False, plane=plane) for plane in (1, 2)}
    assert len(tiles) == 2


def test_other_slides_have_one_plane(slide, tmp_path):
    files = [
        made.svs(slide, tmp_path / "a.svs"),
        made.ome_tiff_with_subifds(slide, tmp_path / "b.ome.tif"),
        made.dicom(slide, tmp_path / "dicom"),
    ]
    (tmp_path / "c.tif").write_text("no slide")
    assert {focus_planes(file) for file in [*files, tmp_path / "c.tif"]} == {FocusPlanes()}


def test_a_damaged_plane_is_said_and_no_copy_of_it_stays(slide, settings, tmp_path):
    folder = tmp_path / "slides"
    path = written("tiled", slide, folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    (file,) = SlideFolders([folder]).slides().values()
    with pytest.raises(DamagedSlideError):
        get_views(settings).view(file)
    assert list(settings.slide_cache.iterdir()) == []


def test_an_uploaded_stack_is_taken_and_deleted_with_the_copies_of_its_planes(
    slide, settings, tmp_path
):
    data = written("dicom", slide, tmp_path / "sent").read_bytes()
    uploads = SlideUploads("eve", settings)
    upload = uploads.create("stack.dcm", len(data))
    uploads.append(upload.id, 0, data)
    uploads.finish(upload.id)
    (file,) = get_folders(settings, "eve").own().values()
    for plane in (1, None):
        get_views(settings).view(file, plane)
    assert len(list(settings.slide_cache.glob("*.tif"))) == 2
    delete_slide(file, "eve", settings, no_store)
    assert list(settings.slide_cache.glob("*.tif")) == []


def test_cells_are_counted_in_the_middle_plane_which_is_said(slide, settings, tmp_path):
    folder = tmp_path / "slides"
    written("tiled", slide, folder)
    (file,) = SlideFolders([folder]).slides().values()
    view = get_views(settings).view(file)
    seen = []

    def analyze(image):
        seen.append(image.pixels)
        return find(image)

    count = SlideCount(file, view, lambda tiles: analyze_tiles(view.path, "", tiles, analyze))
    count.start(None)
    count.wait()
    assert count.analysis().warnings[0] == view.planes.note
    assert "plane 2 of 3" in view.planes.note
    sharp = max(cv2.Laplacian(pixels, cv2.CV_64F).var() for pixels in seen)
    assert sharp > 2 * cv2.Laplacian(made.focus_stack(slide)[0], cv2.CV_64F).var()
    assert FocusPlanes(4).middle == 2
    assert not FocusPlanes().note
