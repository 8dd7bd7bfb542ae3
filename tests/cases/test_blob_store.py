import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.cases.blob_store import ImageFolder, encode
from core.errors import PictureMissingError, PictureNotStoredError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return ImageFolder(tmp_path_factory.mktemp("images"))


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))),
)
@hypothesis_settings(max_examples=30, deadline=None)
def test_pixels_come_back_as_they_were(folder, pixels):
    picture = encode(pixels)
    folder.write(picture)
    folder.write(picture)
    assert np.array_equal(folder.read(picture.sha256), pixels)


def test_unequal_pictures_have_unequal_names(images):
    assert len({encode(image.pixels).sha256 for image in images}) == len(images)


def test_a_folder_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    picture = encode(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(PictureNotStoredError):
        ImageFolder(tmp_path / "file").write(picture)
    with pytest.raises(PictureMissingError):
        ImageFolder(tmp_path / "file").read(picture.sha256)
