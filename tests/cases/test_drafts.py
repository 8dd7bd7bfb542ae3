"""Drafts: nothing is lost, nobody else sees them, and saving is giving them a name."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from core.cases import drafts
from core.cases.audit import latest, verify
from core.cases.backup import make_backup
from core.cases.drafts import Destination, DraftNotes
from core.cases.listing import patient_history, search_patients
from core.cases.orm import DraftRow
from core.cases.patients import delete_patient, find_patient, patients_alike
from core.cases.queue import model_agreement, pending_counts, queue, reviewer_agreement
from core.cases.records import PatientDetails, QueueFilter, SampleDetails
from core.cases.restore import restore_backup
from core.cases.reviews import label_cells, label_counts, labelled_cells, reviews_of, undo
from core.cases.samples import load_case, load_image, load_sample, save_sample, sweep
from core.cases.sharing import comment, share
from core.cases.signing import mark_reviewed
from core.cases.users import remove, set_role
from core.domain.results import FailedFile, StageResult
from core.errors import DraftError, InvalidEntryError, NotFoundError, UnnamedCaseError
from core.imaging.duplicates import fingerprint
from core.settings import Settings
from tests.cases.made import ADMIN, REVIEWER, SECOND, VIEWER, new_field, red, white

TAKEN = SampleDetails(date(2026, 3, 1))
GONE = "no smear"


def printed(image, *cells):
    new = new_field(image, *cells)
    found = replace(new.analysis, fingerprint=fingerprint(image.pixels, new.analysis.cells))
    return replace(new, analysis=found)


def rejected(image):
    new = new_field(image)
    return replace(new, analysis=replace(new.analysis, reject_reason=GONE))


@pytest.fixture
def draft(database, images):
    """Upload two fields of one patient, one of another, and a rejected one; label a cell."""
    made, _ = drafts.create_draft(database, REVIEWER, REVIEWER.name)
    uncertain = white("monocyte", 0.4, "uncertain", x=90)
    drafts.add_draft_field(database, REVIEWER, made, "A", printed(images[0], white(), red()))
    drafts.add_draft_field(database, REVIEWER, made, "A", printed(images[1], uncertain))
    drafts.add_draft_field(database, REVIEWER, made, "A", rejected(images[2]))
    drafts.add_draft_field(database, REVIEWER, made, "B", printed(images[3], white("basophil")))
    sample, cell = sample_and_cell(database, made, 1)
    label_cells(database, REVIEWER, sample, {cell: "basophil"})
    return made


def loaded(database, draft):
    return drafts.load_draft(database, draft)[2]


def sample_and_cell(database, draft, index):
    field = loaded(database, draft)[index]
    return load_sample(database, field.sample_id, draft.id), field.stored.cell_ids[0]


def actions(database):
    return [entry.action for entry in latest(database, limit=100).items]


def test_a_draft_is_as_it_was_uploaded_and_reviewed(database, draft, images):
    before = drafts.stamp(database, draft)
    notes = DraftNotes(("c.png",), (FailedFile("x", "why"),), ("y",), (("a", "b"),), True, (3,))
    drafts.add_notes(database, draft, notes)
    drafts.set_keep_duplicates(database, draft, True)
    stamp, kept, fields = drafts.load_draft(database, draft)
    assert stamp != before
    assert kept == notes
    assert [field.patient for field in fields] == ["A", "A", "A", "B"]
    assert fields[1].stored.analysis.cells[0].type == "basophil"
    assert fields[2].stored.analysis.reject_reason == GONE
    pixels = [load_image(database, field.stored.id).pixels for field in fields]
    assert all((one == image.pixels).all() for one, image in zip(pixels, images, strict=False))


def test_two_uploads_at_once_keep_the_notes_of_both(database, draft):
    one, other = FailedFile("x", "why"), FailedFile("y", "why")
    drafts.add_notes(database, draft, DraftNotes(("x", "a")))
    drafts.add_notes(database, draft, DraftNotes(("y", "b", "a"), repeated=(("c", "d"),)))
    drafts.set_keep_duplicates(database, draft, True)
    drafts.add_notes(database, draft, DraftNotes(failed=(other,)))
    drafts.add_notes(database, draft, DraftNotes(failed=(one,)), ["x", "a"])
    _, kept, _ = drafts.load_draft(database, draft)
    assert kept == DraftNotes(("y", "b"), (other, one), (), (("c", "d"),), True)


def test_a_draft_opens_for_its_owner_or_by_its_secret_and_not_otherwise(database, draft):
    opened = drafts.open_draft(database, str(draft.id), REVIEWER.name)
    assert opened == draft
    anonymous, secret = drafts.create_draft(database, REVIEWER, None)
    assert drafts.open_draft(database, secret, None) == anonymous
    wrong = [(str(draft.id), SECOND.name), (str(draft.id), None), (str(anonymous.id), None)]
    wrong += [(secret, REVIEWER.name), (secret[:-1], None), ("", None), ("٣", REVIEWER.name)]
    for key, owner in wrong:
        with pytest.raises(DraftError):
            drafts.open_draft(database, key, owner)
    ((listed),) = drafts.drafts_of(database, REVIEWER.name)
    assert (listed.fields, listed.patients) == (4, ("A", "B"))
    assert drafts.drafts_of(database, SECOND.name) == ()


def test_who_gets_a_removed_users_name_does_not_get_the_drafts(database, draft):
    set_role(database, ADMIN, REVIEWER.name, "reviewer")
    remove(database, ADMIN, REVIEWER.name)
    with pytest.raises(DraftError):
        drafts.open_draft(database, str(draft.id), REVIEWER.name)


def test_no_list_count_or_search_shows_a_draft(database, draft, patient):
    sample, cell = sample_and_cell(database, draft, 1)
    label_cells(database, SECOND, sample, {cell: "monocyte"})
    other, _ = drafts.create_draft(database, SECOND, SECOND.name)
    assert [line.patient.id for line in search_patients(database).items] == [patient.id]
    assert search_patients(database, "draft").total == 0
    assert find_patient(database, f"A (draft {draft.id})") is None
    assert patients_alike(database) == ()
    assert queue(database, QueueFilter(unreviewed=False)).total == 0
    assert queue(database, QueueFilter(sample_id=sample.id, unreviewed=False)).total == 0
    assert pending_counts(database, QueueFilter(patient_id=sample.patient_id)) == (0, 0)
    assert not model_agreement(database)
    assert not reviewer_agreement(database, REVIEWER.name, SECOND.name)
    assert not labelled_cells(database, "monocyte", 9)
    assert not label_counts(database)
    assert not reviews_of(database, cell)
    for draft_id in (None, other.id):
        with pytest.raises(NotFoundError):
            load_case(database, sample.id, draft_id)
        with pytest.raises(NotFoundError):
            load_sample(database, sample.id, draft_id)
    with pytest.raises(NotFoundError):
        patient_history(database, sample.patient_id)
    with pytest.raises(NotFoundError):
        save_sample(database, SECOND, sample.patient_id, TAKEN)
    with pytest.raises(NotFoundError):
        delete_patient(database, ADMIN, sample.patient_id)
    own = QueueFilter(draft_id=draft.id, unreviewed=False)
    assert queue(database, own).total == 3
    assert queue(database, replace(own, draft_id=other.id)).total == 0
    assert len(reviews_of(database, cell, draft.id)) == 2


def test_fields_of_another_draft_are_out_of_reach(database, draft, images):
    other, _ = drafts.create_draft(database, SECOND, SECOND.name)
    (field, *_) = loaded(database, draft)
    new = printed(images[0], white())
    for change in (
        lambda: drafts.remove_fields(database, SECOND, other, [field.stored.id]),
        lambda: drafts.move_fields(database, SECOND, other, {field.stored.id: "C"}),
        lambda: drafts.mark_fields(database, other, {field.stored.id: new.analysis}),
        lambda: drafts.replace_analysis(database, SECOND, other, field.stored.id, new),
        lambda: drafts.save_draft(
            database, SECOND, other, "A", Destination(PatientDetails("P-2"), TAKEN)
        ),
    ):
        with pytest.raises(NotFoundError):
            change()
    assert len(loaded(database, draft)) == 4


def test_what_needs_a_patient_is_refused(database, draft):
    sample, _ = sample_and_cell(database, draft, 0)
    for change in (
        lambda: share(database, REVIEWER, sample.id),
        lambda: comment(database, REVIEWER, sample.id, "seen"),
        lambda: mark_reviewed(database, REVIEWER, sample),
    ):
        with pytest.raises(UnnamedCaseError):
            change()


def test_saving_to_a_new_patient_names_the_draft(database, draft, images):
    before = [field.stored for field in loaded(database, draft)[:2]]
    to = Destination(PatientDetails("P-9", "Åsa"), replace(TAKEN, white_cell_count=7.5))
    sample = drafts.save_draft(database, REVIEWER, draft, "A", to)
    case = load_case(database, sample.id)
    assert (case.patient.identifier, case.patient.name) == ("P-9", "Åsa")
    assert (case.sample.taken, case.sample.white_cell_count) == (TAKEN.taken, 7.5)
    assert [field.analysis for field in case.fields] == [field.analysis for field in before]
    assert case.fields[1].analysis.cells[0].reviewer == REVIEWER.name
    _, notes, left = drafts.load_draft(database, draft)
    assert [field.patient for field in left] == ["B"]
    assert notes.saved == (sample.id,)
    assert search_patients(database, "P-9").total == 1
    stored = {path.stem for path in database.images.root.glob("??/*.png")}
    assert len(stored) == 3  # the rejected image went
    assert actions(database)[0] == "save draft"
    assert verify(database).whole
    with pytest.raises(NotFoundError):
        drafts.save_draft(database, REVIEWER, draft, "A", to)


def test_saving_to_a_stored_patient_moves_the_sample(database, draft, patient):
    sample = drafts.save_draft(database, REVIEWER, draft, "A", Destination(patient, TAKEN))
    assert sample.patient_id == patient.id
    found, samples = patient_history(database, patient.id)
    assert found == patient
    assert [one.sample.id for one in samples] == [sample.id]
    # An identifier that somebody has is refused, and nothing is changed.
    taken = Destination(PatientDetails(patient.identifier), TAKEN)
    with pytest.raises(InvalidEntryError):
        drafts.save_draft(database, REVIEWER, draft, "B", taken)
    assert len(loaded(database, draft)) == 1


def test_fields_join_a_stored_sample_each_cell_once(database, patient, images):
    stored = save_sample(
        database, REVIEWER, patient.id, TAKEN, [printed(images[0], white(), red())]
    )
    draft, _ = drafts.create_draft(database, REVIEWER, REVIEWER.name)
    graded = StageResult(images[0].name, "Pre", {"Pre": 1.0}, 1.0, "classified")
    again = replace(printed(images[0], white(), red()), stage=graded, models={"all_stage": "3"})
    drafts.add_draft_field(database, REVIEWER, draft, "A", again)
    drafts.add_draft_field(database, REVIEWER, draft, "A", printed(images[1], white()))
    sample = drafts.save_draft(database, REVIEWER, draft, "A", Destination(patient, stored))
    assert sample.id == stored.id
    case = load_case(database, stored.id)
    assert [field.analysis.file for field in case.fields] == [images[0].name, images[1].name]
    assert case.fields[0].stage == graded or case.fields[0].stage.stage == "Pre"
    assert loaded(database, draft) == ()
    drafts.add_draft_field(database, REVIEWER, draft, "A", printed(images[1], white()))
    with pytest.raises(InvalidEntryError, match="in this case already"):
        drafts.save_draft(database, REVIEWER, draft, "A", Destination(patient, sample))


def test_images_are_moved_marked_removed_and_analysed_again(database, draft, images):
    first, second, third, fourth = (field.stored for field in loaded(database, draft))
    drafts.move_fields(database, REVIEWER, draft, {second.id: "B", fourth.id: "C"})
    fields = loaded(database, draft)
    assert [field.patient for field in fields] == ["A", "B", "A", "C"]
    assert fields[1].stored.analysis.cells[0].reviewer == REVIEWER.name
    cells = tuple(replace(cell, duplicate=True) for cell in first.analysis.cells)
    shown = replace(first.analysis, cells=cells, warnings=("seen",))
    drafts.mark_fields(database, draft, {first.id: shown})
    assert loaded(database, draft)[0].stored.analysis == shown
    forced = printed(images[2], white())
    drafts.replace_analysis(database, REVIEWER, draft, third.id, forced)
    assert loaded(database, draft)[2].stored.analysis == forced.analysis
    with pytest.raises(InvalidEntryError, match="were reviewed"):
        drafts.replace_analysis(database, REVIEWER, draft, second.id, printed(images[1], white()))
    sample, cell_id = sample_and_cell(database, draft, 2)
    _, (review,) = label_cells(database, REVIEWER, sample, {cell_id: "blast"})
    sample, _ = sample_and_cell(database, draft, 2)
    undo(database, REVIEWER, sample, [review.id])
    assert loaded(database, draft)[2].is_reviewed  # its reviews stay, so its cells do
    with pytest.raises(InvalidEntryError, match="were reviewed"):
        drafts.replace_analysis(database, REVIEWER, draft, third.id, forced)
    drafts.remove_fields(database, REVIEWER, draft, [first.id, second.id])
    assert [field.stored.id for field in loaded(database, draft)] == [third.id, fourth.id]
    assert len(list(database.images.root.glob("??/*.png"))) == 2
    assert verify(database).whole


def test_unused_drafts_are_erased_with_their_images_and_used_ones_kept(
    database, draft, sample, images
):
    kept, _ = drafts.create_draft(database, REVIEWER, None)
    drafts.add_draft_field(database, VIEWER, kept, "A", new_field(images[4], white()))
    settings = Settings(_env_file=None, draft_days=3)
    with database.writing() as session:
        old = datetime.now(UTC) - timedelta(days=3, minutes=1)
        session.execute(update(DraftRow).where(DraftRow.id == draft.id).values(used=old))
    with pytest.raises(DraftError):
        drafts.open_draft(database, str(draft.id), REVIEWER.name, settings)
    assert drafts.expire_drafts(database, settings) == 1
    with pytest.raises(DraftError):
        drafts.load_draft(database, draft)
    assert len(loaded(database, kept)) == 1
    assert len(list(database.images.root.glob("??/*.png"))) == 3
    assert sweep(database) == 0
    assert "expire draft" in actions(database)
    assert drafts.expire_drafts(database, settings) == 0
    drafts.delete_draft(database, VIEWER, kept)
    assert len(load_case(database, sample.id).fields) == 2
    assert verify(database).whole


def test_drafts_are_in_a_backup_and_open_after_it_was_restored(database, settings, draft, tmp_path):
    anonymous, secret = drafts.create_draft(database, REVIEWER, None)
    file = tmp_path / "backup.zip"
    make_backup(database, file, settings)
    if settings.database_url is not None:
        pytest.skip("one database")
    elsewhere = settings.model_copy(update={"store": tmp_path / "elsewhere"})
    restore_backup(file, elsewhere)
    from core.cases.database import open_database

    restored = open_database(elsewhere)
    assert len(loaded(restored, drafts.open_draft(restored, str(draft.id), REVIEWER.name))) == 4
    assert drafts.open_draft(restored, secret, None).id == anonymous.id
    restored.engine.dispose()
