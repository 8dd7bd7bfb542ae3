"""Pictures in an object store: the code on a folder, and on a real S3 server where one is named."""

import os
import secrets

import numpy as np
import pytest
from pyarrow.fs import FileType, LocalFileSystem

from core.cases.blob_store import encode
from core.cases.bucket import ImageBucket, open_bucket
from core.errors import PictureMissingError, PictureNotStoredError
from core.settings import Settings

SERVER = os.environ.get("LEUKOSCOPE_TEST_S3", "")
"""Such as `s3://bucket?scheme=http&endpoint_override=127.0.0.1:9000&allow_bucket_creation=true`."""


@pytest.fixture(params=["folder", "s3"])
def bucket(request, tmp_path):
    if request.param == "folder":
        yield ImageBucket(LocalFileSystem(), str(tmp_path / "bucket"))
        return
    if not SERVER:
        pytest.skip("no S3 server is named in LEUKOSCOPE_TEST_S3")
    address, _, options = SERVER.partition("?")
    bucket = open_bucket(f"{address}/{secrets.token_hex(4)}?{options}")
    bucket.files.create_dir(bucket.root)
    yield bucket
    bucket.files.delete_dir(bucket.root)


def picture_of(number):
    return encode(np.full((4, 5, 3), number, np.uint8))


def write(bucket, picture):
    if isinstance(bucket.files, LocalFileSystem):  # an object store has no folders to make
        bucket.files.create_dir(bucket.path(picture.sha256).rpartition("/")[0])
    bucket.write(picture)


def test_pixels_come_back_as_they_were(bucket):
    for number in (1, 2, 1):
        write(bucket, picture_of(number))
    assert (bucket.read(picture_of(2).sha256) == 2).all()


def test_gone_and_changed_pictures_are_missing(bucket):
    picture = picture_of(3)
    with pytest.raises(PictureMissingError):
        bucket.read(picture.sha256)
    write(bucket, picture)
    with bucket.files.open_output_stream(bucket.path(picture.sha256)) as stream:
        stream.write(b"half")
    with pytest.raises(PictureMissingError):
        bucket.read(picture.sha256)
    write(bucket, picture)  # mends it
    assert (bucket.read(picture.sha256) == 3).all()


def test_pictures_go_when_nothing_refers_to_them(bucket):
    pictures = [picture_of(number) for number in range(4)]
    assert bucket.remove_all_but([]) == 0
    for picture in pictures:
        write(bucket, picture)
    bucket.remove([pictures[0].sha256, pictures[0].sha256])
    assert bucket.remove_all_but([pictures[1].sha256]) == 2
    assert (bucket.read(pictures[1].sha256) == 1).all()
    for gone in (pictures[0], *pictures[2:]):
        found = bucket.files.get_file_info(bucket.path(gone.sha256))
        assert found.type == FileType.NotFound


def test_a_store_that_cannot_be_reached_is_a_sentence():
    bucket = open_bucket(
        "s3://key:secret@none/images?region=none&scheme=http&endpoint_override=127.0.0.1:9"
    )
    with pytest.raises(PictureNotStoredError):
        bucket.write(picture_of(1))


def test_only_object_stores_are_named():
    with pytest.raises(ValueError, match="must begin with s3://"):
        Settings(_env_file=None, pictures="/srv/pictures")
    assert Settings(_env_file=None, pictures="").pictures is None
