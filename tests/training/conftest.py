"""What several tests of training share."""

import shutil

import pytest

from core.datasets.readers import open_set
from core.settings import get_settings
from core.training.data.detection_fields import labelled


@pytest.fixture(scope="session")
def labelled_fields(pack):
    """Give twelve BCCD training fields with their boxes."""
    del pack
    data = open_set("bccd")
    return [labelled(data, example) for example in data.of_split("train")[:12]]


@pytest.fixture
def settings_with_detector(tmp_path):
    """Give settings whose models folder holds the shipped detector alone."""
    settings = get_settings()
    shutil.copytree(settings.models / "detector", tmp_path / "models" / "detector")
    return settings.model_copy(update={"models": tmp_path / "models"})
