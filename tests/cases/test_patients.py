from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import func, select

from core.cases.audit import history, latest, verify
from core.cases.listing import patient_history, search_patients
from core.cases.orm import AuditRow, Base, PatientRow
from core.cases.patients import (
    create_patient,
    delete_patient,
    find_patient,
    merge_patients,
    patients_alike,
    update_patient,
)
from core.cases.queue import queue
from core.cases.records import PatientDetails, SampleDetails
from core.cases.reviews import label_cells
from core.cases.samples import load_case, load_image, save_sample
from core.cases.sharing import comment, share
from core.errors import InvalidEntryError, NotAllowedError, NotFoundError, StaleCaseError
from tests.cases.made import ADMIN, REVIEWER, SECOND, VIEWER, new_field, white


def test_identifiers_are_unique_and_entries_checked(database, patient):
    for wrong in (
        PatientDetails(" P-1 "),
        PatientDetails("  "),
        PatientDetails("x" * 101),
        PatientDetails("P-2", birth_year=1492),
    ):
        with pytest.raises(InvalidEntryError):
            create_patient(database, REVIEWER, wrong)
    with pytest.raises(NotAllowedError):
        create_patient(database, VIEWER, PatientDetails("P-2"))


def test_a_patient_is_found_by_the_whole_identifier_only(database, patient):
    create_patient(database, REVIEWER, PatientDetails("P-10"))
    assert find_patient(database, " P-1 ") == patient
    assert find_patient(database, "P") is None


@pytest.mark.parametrize("typed", ["Mu\u0308 1", " M\u00fc  1\n", "M\u00fc\u00a01"])
def test_another_spelling_is_no_second_patient(database, typed):
    patient = create_patient(database, REVIEWER, PatientDetails("M\u00fc 1", "Zoe\u0308"))
    assert patient.name == "Zo\u00eb"
    with pytest.raises(InvalidEntryError, match="already"):
        create_patient(database, REVIEWER, PatientDetails(typed))
    assert find_patient(database, typed) == patient
    for text in (typed, typed.upper(), "zo\u00eb", "ZOE\u0308"):
        assert search_patients(database, text).items[0].patient == patient


@pytest.mark.parametrize("character", ["\n", "\0", "\u202e", "\u200b", "\ud800"])
def test_an_identifier_of_unseen_characters_is_refused(database, patient, character):
    odd = PatientDetails(f"P{character}-2")
    with pytest.raises(InvalidEntryError, match="cannot be seen"):
        create_patient(database, REVIEWER, odd)
    with pytest.raises(InvalidEntryError, match="cannot be seen"):
        update_patient(database, REVIEWER, patient, odd)
    with pytest.raises(InvalidEntryError, match="name holds"):
        create_patient(database, REVIEWER, PatientDetails("P-2", f"A{character}b"))
    assert search_patients(database).total == 1


def stored(database, identifier, **details):
    """Store a patient as versions before 0007 did: the identifier as typed."""
    made = create_patient(database, REVIEWER, PatientDetails(f"x{len(identifier)}", **details))
    with database.writing() as session:
        row = session.get(PatientRow, made.id)
        row.identifier, row.search = identifier, f"{identifier}\n".casefold()
    return replace(made, identifier=identifier)


def test_patients_that_look_alike_are_merged_by_an_admin_with_all_samples(database):
    patient = create_patient(database, REVIEWER, PatientDetails("P-1", sex="female"))
    alike = stored(database, "P-1\u202e", name="Osa")
    create_patient(database, REVIEWER, PatientDetails("P-2"))
    kept = save_sample(database, REVIEWER, patient.id, SampleDetails(date(2026, 1, 1)))
    moved = save_sample(database, REVIEWER, alike.id, SampleDetails(date(2026, 1, 2)))
    # The entry can be corrected before; its spelling stays, for the other has the right one.
    alike = update_patient(database, REVIEWER, alike, PatientDetails(alike.identifier, "Asa"))
    assert patients_alike(database) == ((patient, alike),)
    with pytest.raises(NotAllowedError):
        merge_patients(database, REVIEWER, patient, alike)
    merged = merge_patients(database, ADMIN, patient, alike)
    assert merged == replace(patient, name="Asa")
    assert patients_alike(database) == ()
    _, samples = patient_history(database, patient.id)
    assert [one.sample.id for one in samples] == [kept.id, moved.id]
    assert [entry.action for entry in history(database, moved.id)][-1] == "move sample"
    last = latest(database).items[0]
    assert (last.user, last.action, last.patient_id) == (ADMIN.name, "merge patients", patient.id)
    assert last.details == {"merged": alike.id}
    assert verify(database).broken is None
    delete_patient(database, ADMIN, patient.id)
    with pytest.raises(NotFoundError):
        load_case(database, moved.id)


def test_patients_that_may_be_two_people_are_not_merged(database, patient):
    other = create_patient(database, REVIEWER, PatientDetails("P-2"))
    with pytest.raises(InvalidEntryError, match="look alike"):
        merge_patients(database, ADMIN, patient, other)
    with pytest.raises(InvalidEntryError, match="look alike"):
        merge_patients(database, ADMIN, patient, patient)
    born = update_patient(database, REVIEWER, patient, PatientDetails("P-1", birth_year=1950))
    alike = stored(database, "P-1 ", birth_year=1990)
    with pytest.raises(InvalidEntryError, match="differ in year of birth"):
        merge_patients(database, ADMIN, born, alike)
    with pytest.raises(StaleCaseError):
        merge_patients(database, ADMIN, patient, alike)


def test_patients_are_corrected_but_not_over_another_correction(database, patient):
    changed = update_patient(database, REVIEWER, patient, PatientDetails("P-1", "Asa", "female"))
    assert (changed.id, changed.name, changed.birth_year) == (patient.id, "Asa", None)
    with pytest.raises(StaleCaseError, match="ana@lab"):
        update_patient(database, SECOND, patient, PatientDetails("P-1", "Osa"))
    other = create_patient(database, REVIEWER, PatientDetails("P-2"))
    with pytest.raises(InvalidEntryError, match="P-1 already"):
        update_patient(database, REVIEWER, other, PatientDetails("P-1"))


def test_erasing_a_patient_leaves_only_the_audit_trail(database, patient, sample, images):
    cell = queue(database).items[0].id
    sample, _ = label_cells(database, REVIEWER, sample, {cell: "basophil"})
    comment(database, VIEWER, sample.id, "Mrs Öst looks well")
    share(database, REVIEWER, sample.id)
    other = create_patient(database, REVIEWER, PatientDetails("P-2"))
    kept = save_sample(
        database,
        REVIEWER,
        other.id,
        SampleDetails(date(2026, 1, 1)),
        [new_field(images[0], white())],
    )
    with pytest.raises(NotAllowedError):
        delete_patient(database, REVIEWER, patient.id)
    delete_patient(database, ADMIN, patient.id)
    with pytest.raises(NotFoundError):
        load_case(database, sample.id)
    load_image(database, load_case(database, kept.id).fields[0].id)
    assert len(list(database.images.root.glob("*/*"))) == 1
    with database.reading() as session:
        sizes = {
            name: session.scalar(select(func.count()).select_from(table))
            for name, table in Base.metadata.tables.items()
        }
        trail = session.execute(select(AuditRow.__table__)).all()
    assert (sizes["patients"], sizes["samples"], sizes["fields"], sizes["cells"]) == (1, 1, 1, 1)
    assert not any(sizes[name] for name in ("reviews", "comments", "links", "signatures"))
    assert not any(text in repr(trail) for text in ("P-1", "Öst", "Mrs"))
    assert verify(database).broken is None
    with pytest.raises(NotFoundError):
        delete_patient(database, ADMIN, patient.id)


def test_ids_of_the_erased_are_never_given_again(database, patient):
    delete_patient(database, ADMIN, patient.id)
    assert create_patient(database, REVIEWER, PatientDetails("P-1")).id > patient.id
