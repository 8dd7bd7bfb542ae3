import os
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.cases.audit import history
from core.cases.blob_store import encode
from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.samples import (
    add_fields,
    load_case,
    load_image,
    save_sample,
    sweep,
    update_sample,
)
from core.domain.boxes import Box
from core.domain.results import Cell, Scale, StageResult
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES
from core.errors import (
    InvalidEntryError,
    NotAllowedError,
    NotFoundError,
    PictureMissingError,
    PictureNotStoredError,
    StaleCaseError,
)
from core.imaging.read import read_images
from core.settings import Settings
from tests.cases.made import ADMIN, REVIEWER, SECOND, VIEWER, analysis_of, new_field, white
from tests.images import read_image, slide_pixels, stack

DETAILS = SampleDetails(date(2026, 3, 1), "bone_marrow", 7.5)

finite = st.floats(allow_nan=False, allow_infinity=False)
share = st.floats(0, 1)
size = st.floats(min_value=1e-3, max_value=1e6)
boxes = st.builds(Box, finite, finite, size, size)
white_cells = st.builds(
    Cell,
    kind=st.just("wbc"),
    box=boxes,
    confidence=share,
    status=st.sampled_from(["classified", "uncertain", "out_of_scope"]),
    type=st.sampled_from(sorted(CELL_TYPES)),
    probabilities=st.fixed_dictionaries(dict.fromkeys(CELL_TYPES, share)),
    detection_score=share,
    attributes=st.none() | st.just({name: values[0] for name, values in ATTRIBUTES.items()}),
    in_distribution=st.sampled_from([None, True, False]),
)
other_cells = st.builds(
    Cell,
    kind=st.sampled_from(["rbc", "platelet"]),
    box=boxes,
    confidence=share,
    detection_score=share,
)
scales = st.none() | st.builds(Scale, size, st.sampled_from(["file", "red cells"]))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One SQLite database for many examples."""
    settings = Settings(_env_file=None, store=tmp_path_factory.mktemp("store"), database_url=None)
    database = open_database(settings)
    return database, create_patient(database, REVIEWER, PatientDetails("P"))


@given(
    changes=st.fixed_dictionaries(
        {
            "cells": st.lists(white_cells | other_cells, max_size=8).map(tuple),
            "scale": scales,
            "seconds": st.floats(0, 1e6),
            "reject_reason": st.none() | st.just("No blood cells were found."),
            "qc_override": st.none() | st.just("No blood cells were found."),
            "warnings": st.lists(st.text(max_size=20), max_size=2).map(tuple),
        }
    )
)
@hypothesis_settings(max_examples=40, deadline=None)
def test_what_is_loaded_equals_what_was_saved(kept, images, changes):
    database, patient = kept
    analysis = replace(analysis_of(images[0]), **changes)
    new = replace(new_field(images[0]), analysis=analysis)
    saved = save_sample(database, REVIEWER, patient.id, DETAILS, [new])
    (loaded,) = load_case(database, saved.id).fields
    assert loaded.analysis == analysis
    assert [i is None for i in loaded.cell_ids] == [c.kind != "wbc" for c in analysis.cells]


def test_a_real_analysis_comes_back_on_both_databases(database, patient, images, analyzer):
    image = images[0]
    stage = analyzer.stage(image)
    analysis = analyzer.analyze(image)
    new = replace(new_field(image, stage=stage), analysis=analysis)
    case = load_case(database, save_sample(database, REVIEWER, patient.id, DETAILS, [new]).id)
    (field,) = case.fields
    assert field.analysis == analysis
    assert field.models == new.models
    for _, cell in field.analysis.white_cells():
        assert cell.attributes is not None
        assert cell.attributes.keys() == ATTRIBUTES.keys()
    assert field.stage is not None
    assert field.stage.cam is None
    for entry in fields(StageResult):
        # The field keeps the hash and the analysis, whose cells tell the possible blasts.
        if entry.name not in ("evidence", "pixels_sha256", "blasts", "analysis"):
            assert getattr(field.stage, entry.name) == getattr(stage, entry.name)
    assert case.patient == patient
    assert (case.sample.taken, case.sample.material) == (DETAILS.taken, DETAILS.material)
    assert (case.sample.white_cell_count, case.sample.state) == (7.5, "draft")


def test_a_picture_comes_back_pixel_by_pixel_without_its_header(database, patient, pack):
    data = pack.jpeg(pack.bccd(0))
    image = read_image(data[:2] + b"\xff\xfe\x00\x10Doe, John 1970" + data[2:], "a.jpg")
    scaled = replace(image, micrometres_per_pixel=0.2)
    analysis = replace(analysis_of(scaled), scale=Scale(0.2, "file"))
    new = replace(new_field(scaled), analysis=analysis)
    sample = save_sample(database, REVIEWER, patient.id, DETAILS, [new])
    field = load_case(database, sample.id).fields[0]
    loaded = load_image(database, field.id)
    assert np.array_equal(loaded.pixels, image.pixels)
    assert replace(loaded, pixels=image.pixels).sha256 == image.sha256
    assert (loaded.name, loaded.properties) == (image.name, image.properties)
    assert loaded.micrometres_per_pixel == 0.2
    stored = [p.read_bytes() for p in database.images.root.glob("*/*")]
    assert len(stored) == 1
    assert b"Doe" not in stored[0]


def test_a_picture_is_kept_once_for_all_cases(database, patient, images):
    for _ in range(2):
        save_sample(database, REVIEWER, patient.id, DETAILS, [new_field(images[0], white())])
    assert len(list(database.images.root.glob("*/*"))) == 1


def test_every_image_of_a_file_is_a_field_with_its_own_pixels(database, patient):
    first, second = read_images(stack(slide_pixels(0), slide_pixels(1)), "stack.tif")
    new = [new_field(first, white()), new_field(second, white("monocyte"))]
    sample = save_sample(database, REVIEWER, patient.id, DETAILS, new)
    stored = load_case(database, sample.id).fields
    assert [field.analysis.title for field in stored] == ["stack.tif", "stack.tif, page 2"]
    for field, image in zip(stored, (first, second), strict=True):
        loaded = load_image(database, field.id)
        assert loaded.identity == image.identity
        assert np.array_equal(loaded.pixels, image.pixels)
    with pytest.raises(InvalidEntryError, match=r"stack\.tif, page 2 is in this case already"):
        add_fields(database, REVIEWER, sample, [new[1]])


def test_the_same_file_counts_once_in_a_case(database, sample, images):
    with pytest.raises(InvalidEntryError, match="in this case already"):
        add_fields(database, REVIEWER, sample, [new_field(images[1], white())])
    assert len(load_case(database, sample.id).fields) == 2


def test_a_stored_field_gets_the_class_it_lacked_and_keeps_its_cells(database, sample, images):
    stage = StageResult(images[0].name, "Pre", {"Pre": 0.9, "Pro": 0.1}, 0.9, "classified")
    stage = replace(stage, warnings=("The scale is doubtful.",))
    before = load_case(database, sample.id)
    graded = replace(
        new_field(images[0], white("basophil"), stage=stage), models={"all_stage": "3", "wbc": "9"}
    )
    sample = add_fields(database, REVIEWER, sample, [graded, new_field(images[4], white())])
    case = load_case(database, sample.id)
    assert case.analyses[:2] == before.analyses
    assert [f.stage and f.stage.stage for f in case.fields] == ["Pre", None, None]
    assert case.fields[0].stage.warnings == stage.warnings
    assert case.fields[0].models == {"detector": "1", "wbc": "2", "all_stage": "3"}
    entry = history(database, sample.id)[-1]
    assert entry.details == {"fields": [case.fields[2].id], "graded": [case.fields[0].id]}
    with pytest.raises(InvalidEntryError, match="in this case already"):
        add_fields(database, REVIEWER, sample, [graded])


def test_fields_are_added_in_their_order(database, sample, images):
    more = [new_field(images[i], white(x=i)) for i in (4, 2)]
    changed = add_fields(database, REVIEWER, sample, more)
    assert changed.version == sample.version + 1
    files = [f.analysis.file for f in load_case(database, sample.id).fields]
    assert files == [images[i].name for i in (0, 1, 4, 2)]


def test_a_failed_save_leaves_nothing(database, sample, images, monkeypatch):
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(PictureNotStoredError):
        add_fields(database, REVIEWER, sample, [new_field(images[3], white())])
    monkeypatch.undo()
    case = load_case(database, sample.id)
    assert (case.sample, len(case.fields)) == (sample, 2)
    assert not list(database.images.root.glob("*/*.part"))


def _no_space(_descriptor):
    raise OSError(28, "No space left on device")


def test_only_whole_pictures_are_given_back(database, sample):
    first, second = load_case(database, sample.id).fields
    paths = {load_image(database, f.id).sha256: f for f in (first, second)}
    assert len(paths) == 2
    damaged, gone = list(database.images.root.glob("*/*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    gone.unlink()
    for field in (first, second):
        with pytest.raises(PictureMissingError):
            load_image(database, field.id)


def test_the_sweep_removes_only_what_nothing_refers_to(database, sample):
    stray = encode(np.zeros((50, 50, 3), np.uint8))
    database.images.write(stray)
    database.images.path(stray.sha256).with_name("x.png.1a2b.part").write_bytes(b"half")
    assert sweep(database) == 2
    assert not database.images.path(stray.sha256).exists()
    for field in load_case(database, sample.id).fields:
        load_image(database, field.id)
    assert sweep(database) == 0


def test_an_empty_database_sweeps_no_pictures_of_another(database):
    stray = database.images.path(64 * "a")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"of another database")
    assert sweep(database) == 0
    assert stray.exists()


def test_entered_details_are_corrected_and_checked(database, sample):
    changed = update_sample(database, REVIEWER, sample, replace(DETAILS, white_cell_count=None))
    assert (changed.material, changed.white_cell_count) == ("bone_marrow", None)
    with pytest.raises(StaleCaseError, match=r"ana@lab changed this record on 20\d\d"):
        update_sample(database, SECOND, sample, DETAILS)
    tomorrow = datetime.now(UTC).date() + timedelta(days=2)
    for wrong in (replace(DETAILS, taken=tomorrow), replace(DETAILS, white_cell_count=7500.0)):
        with pytest.raises(InvalidEntryError):
            update_sample(database, REVIEWER, changed, wrong)
    assert load_case(database, sample.id).sample == changed


def test_viewers_save_nothing(database, patient, sample, images):
    new = [new_field(images[5], white())]
    with pytest.raises(NotAllowedError, match="eve@lab is a viewer here"):
        save_sample(database, VIEWER, patient.id, DETAILS, new)
    with pytest.raises(NotAllowedError):
        add_fields(database, VIEWER, sample, new)
    with pytest.raises(NotAllowedError):
        update_sample(database, VIEWER, sample, DETAILS)
    assert not list(database.images.root.glob(f"*/{encode(images[5].pixels).sha256}.png"))


def test_what_does_not_exist_is_named(database):
    with pytest.raises(NotFoundError, match="This case does not exist"):
        load_case(database, 7)
    with pytest.raises(NotFoundError, match="field"):
        load_image(database, 7)
    with pytest.raises(NotFoundError, match="patient"):
        save_sample(database, ADMIN, 7, DETAILS)
