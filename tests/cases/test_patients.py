from datetime import date

import pytest
from sqlalchemy import func, select

from core.cases.audit import verify
from core.cases.patients import create_patient, delete_patient, find_patient, update_patient
from core.cases.records import PatientDetails, SampleDetails
from core.cases.review import label_cells
from core.cases.samples import load_case, load_image, save_sample
from core.cases.sharing import comment, share
from core.cases.tables import AuditRow, Base
from core.cases.worklist import queue
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
    assert len(list(database.pictures.root.glob("*/*"))) == 1
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
