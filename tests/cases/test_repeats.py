"""What a store holds already is not counted again in a sample, and said of other samples."""

from datetime import date

import numpy as np
import pytest

from core.cases.cell_groups import DUPLICATE, cell_groups
from core.cases.listing import patient_history
from core.cases.patients import create_patient
from core.cases.queue import queue
from core.cases.records import NewField, PatientDetails, SampleDetails
from core.cases.repeats import compared_with_stored
from core.cases.reviews import label_cells, undo
from core.cases.samples import add_fields, load_case, save_sample
from core.domain.differential import differential
from core.errors import InvalidEntryError
from core.imaging.duplicates import Finder, count_once
from core.imaging.read import read_images
from core.inference.pipeline import get_analyzer
from tests.cases.made import REVIEWER
from tests.images import encoded, slide_pixels

DETAILS = SampleDetails(date(2026, 3, 1))
MODELS = {"detector": "1", "wbc": "2"}


def field_of(pixels, name, form="PNG"):
    (image,) = read_images(encoded(np.ascontiguousarray(pixels), form), name)
    return NewField(image, get_analyzer().analyze(image), MODELS)


@pytest.fixture
def whole():
    return field_of(slide_pixels(0), "whole.png")


def test_marks_are_stored_and_every_count_follows(database, patient, whole):
    turned = field_of(np.rot90(slide_pixels(0)), "turned.png")
    new = [whole, turned]
    analyses = count_once([field.analysis for field in new], Finder())
    assert analyses[1].counts.duplicates["wbc"] >= 1
    stored = [NewField(f.image, a, MODELS) for f, a in zip(new, analyses, strict=True)]
    sample = save_sample(database, REVIEWER, patient.id, DETAILS, stored)
    case = load_case(database, sample.id)
    assert case.analyses == analyses
    counted = differential(case.analyses)
    (summary,) = patient_history(database, patient.id)[1]
    assert sum(summary.type_counts.values()) == sum(sum(a.counts.types.values()) for a in analyses)
    assert summary.uncertain == counted.uncertain
    waiting = {queued.id for queued in queue(database, limit=200).items}
    repeated = {
        key
        for key, cell in zip(case.fields[1].cell_ids, analyses[1].cells, strict=True)
        if cell.duplicate and key is not None
    }
    assert repeated
    assert not waiting & repeated


def test_later_fields_of_a_sample_are_compared_with_the_stored_ones(database, patient, whole):
    sample = save_sample(database, REVIEWER, patient.id, DETAILS, [whole])
    again = field_of(slide_pixels(0)[:, 40:], "again.png")
    (compared,) = compared_with_stored(database, patient.id, [again], sample.id)
    assert compared.analysis.counts.duplicates["wbc"] >= 1
    assert "“whole.png” shows too" in compared.analysis.warnings[0]
    (kept,) = compared_with_stored(database, patient.id, [again], sample.id, Finder(keep=True))
    assert kept.analysis.counts.duplicates["wbc"] == 0
    assert "counted here too" in kept.analysis.warnings[0]
    add_fields(database, REVIEWER, sample, [compared])
    assert load_case(database, sample.id).fields[1].analysis == compared.analysis


def test_the_same_pixels_in_another_format_are_one_field_of_a_sample(database, patient, whole):
    sample = save_sample(database, REVIEWER, patient.id, DETAILS, [whole])
    copy = field_of(slide_pixels(0), "copy.bmp", "BMP")
    assert copy.image.sha256 != whole.image.sha256
    with pytest.raises(InvalidEntryError, match=r"copy\.bmp is in this case already"):
        add_fields(database, REVIEWER, sample, [copy])


def test_the_same_image_in_another_sample_is_a_warning(database, patient, whole):
    first = save_sample(database, REVIEWER, patient.id, DETAILS, [whole])
    copy = field_of(slide_pixels(0), "copy.bmp", "BMP")
    (same,) = compared_with_stored(database, patient.id, [copy])
    assert same.analysis.warnings == (
        f"The same image is in sample {first.id} of this patient too.",
    )
    stranger = create_patient(database, REVIEWER, PatientDetails("P-2"))
    (other,) = compared_with_stored(database, stranger.id, [copy])
    assert other.analysis.warnings == (
        f"The same image is in sample {first.id} of another patient. Check whose it is.",
    )
    assert other.analysis.counts.duplicates["wbc"] == 0


def test_a_duplicate_that_a_reviewer_names_counts_here(database, patient, whole):
    again = field_of(slide_pixels(0)[:, 40:], "again.png")
    new = compared_with_stored(database, patient.id, [whole, again])
    sample = save_sample(database, REVIEWER, patient.id, DETAILS, new)
    case = load_case(database, sample.id)
    groups = {group.key: group.cells for group in cell_groups(case)}
    assert len(groups[DUPLICATE]) == case.analyses[1].counts.duplicates["wbc"] >= 1
    cell = groups[DUPLICATE][0]
    sample, reviews = label_cells(database, REVIEWER, sample, {cell.id: "blast"})
    case = load_case(database, sample.id)
    assert case.analyses[1].counts.types["blast"] == 1
    assert len(groups[DUPLICATE]) - case.analyses[1].counts.duplicates["wbc"] == 1
    (summary,) = patient_history(database, patient.id)[1]
    assert summary.type_counts["blast"] == 1
    undo(database, REVIEWER, sample, [review.id for review in reviews])
    assert load_case(database, sample.id).analyses == tuple(field.analysis for field in new)
