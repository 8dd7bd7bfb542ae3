"""Lists of patients and samples. Each takes the same few queries, however long it is."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Literal

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from core.cases.database import Database, count
from core.cases.mappers import patient_of, sample_of, stage_of
from core.cases.names import searchable
from core.cases.orm import PENDING, CellRow, FieldRow, PatientRow, SampleRow
from core.cases.patients import patient_row
from core.cases.records import (
    CaseState,
    ListedPatient,
    Page,
    Patient,
    PatientWork,
    SampleSummary,
)
from core.domain.results import StageResult
from core.domain.taxonomy import NOT_A_WHITE_CELL

PAGE = 25
_UNCERTAIN = "uncertain"
_IS_PENDING = and_(PENDING, CellRow.status == "uncertain", CellRow.duplicate.is_(False))
_IS_POSSIBLE_BLAST = or_(
    CellRow.label == "blast",
    and_(
        CellRow.label.is_(None),
        CellRow.type == "blast",
        CellRow.status != "out_of_scope",
        CellRow.duplicate.is_(False),
    ),
)
Work = Literal["pending", "possible_blasts"]
_WORK: Mapping[Work, ColumnElement[bool]] = {
    "pending": _IS_PENDING,
    "possible_blasts": _IS_POSSIBLE_BLAST,
}


def search_patients(  # noqa: PLR0913 - all but the first two by name
    database: Database,
    text: str = "",
    *,
    state: CaseState | None = None,
    work: Work | None = None,
    offset: int = 0,
    limit: int = PAGE,
) -> Page[ListedPatient]:
    """List patients whose identifier or name holds a text, the last sampled first.

    With `state` only those whose last sample is in it, with `work` only those with cells pending
    review or with possible blasts. Letter case, white space and the Unicode
    form of letters do not matter.
    """
    later = aliased(SampleRow)
    last = (
        select(later.id)
        .where(later.patient_id == PatientRow.id)
        .order_by(later.taken.desc(), later.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    wanted: list[ColumnElement[bool]] = [PatientRow.draft_id.is_(None)]
    if searched := searchable(text):
        wanted.append(PatientRow.search.contains(searched, autoescape=True))
    if state is not None:
        wanted.append(SampleRow.state == state)
    if work is not None:
        own = aliased(SampleRow)
        cells = select(CellRow.id).join(FieldRow, FieldRow.id == CellRow.field_id)
        cells = cells.join(own, own.id == FieldRow.sample_id)
        wanted.append(exists(cells.where(own.patient_id == PatientRow.id, _WORK[work])))
    listed = select(PatientRow, SampleRow).outerjoin(SampleRow, SampleRow.id == last).where(*wanted)
    with database.reading() as session:
        total = count(session, listed)
        rows = session.execute(
            listed.order_by(SampleRow.taken.desc().nulls_last(), PatientRow.id.desc())
            .offset(offset)
            .limit(limit)
        )
        items = tuple(
            ListedPatient(patient_of(patient), sample_of(sample) if sample else None)
            for patient, sample in rows
        )
    return Page(items, total)


def patients_work(database: Database, patients: Collection[int]) -> dict[int, PatientWork]:
    """Return what is to be done of patients, by their id."""
    with database.reading() as session:
        known = session.execute(
            select(
                PatientRow.id,
                PatientRow.changed_at,
                func.count(SampleRow.id),
                func.max(SampleRow.changed_at),
            )
            .outerjoin(SampleRow, SampleRow.patient_id == PatientRow.id)
            .where(PatientRow.id.in_(patients))
            .group_by(PatientRow.id, PatientRow.changed_at)
        ).all()
        counted = {
            patient_id: (pending or 0, blasts or 0)
            for patient_id, pending, blasts in session.execute(
                select(
                    SampleRow.patient_id,
                    func.sum(case((_IS_PENDING, 1), else_=0)),
                    func.sum(case((_IS_POSSIBLE_BLAST, 1), else_=0)),
                )
                .select_from(CellRow)
                .join(FieldRow, FieldRow.id == CellRow.field_id)
                .join(SampleRow, SampleRow.id == FieldRow.sample_id)
                .where(SampleRow.patient_id.in_(patients), or_(_IS_PENDING, _IS_POSSIBLE_BLAST))
                .group_by(SampleRow.patient_id)
            )
        }
    return {
        patient_id: PatientWork(
            samples, *counted.get(patient_id, (0, 0)), max(filter(None, (changed, sampled)))
        )
        for patient_id, changed, samples, sampled in known
    }


def patient_history(
    database: Database, patient_id: int
) -> tuple[Patient, tuple[SampleSummary, ...]]:
    """Return a patient and all samples, the first taken first. Raises NotFoundError."""
    with database.reading() as session:
        patient = patient_row(session, patient_id)
        samples = session.execute(
            select(SampleRow, func.count(FieldRow.id))
            .outerjoin(FieldRow, FieldRow.sample_id == SampleRow.id)
            .where(SampleRow.patient_id == patient_id)
            .group_by(SampleRow.id)
            .order_by(SampleRow.taken, SampleRow.id)
        ).all()
        counts = _type_counts(session, patient_id)
        return patient_of(patient), tuple(
            SampleSummary(
                sample=sample_of(row),
                fields=fields,
                uncertain=counts[row.id].pop(_UNCERTAIN, 0),
                type_counts=counts[row.id],
            )
            for row, fields in samples
        )


def patient_stages(database: Database, patient_id: int) -> dict[int, tuple[StageResult, ...]]:
    """Return the ALL classes of a patient's graded fields by sample id, the first taken first."""
    found: defaultdict[int, list[StageResult]] = defaultdict(list)
    with database.reading() as session:
        rows = session.execute(
            select(FieldRow.sample_id, FieldRow.stage)
            .join(SampleRow, SampleRow.id == FieldRow.sample_id)
            .where(SampleRow.patient_id == patient_id, FieldRow.stage.is_not(None))
            .order_by(SampleRow.taken, SampleRow.id, FieldRow.id)
        )
        for sample_id, stage in rows:
            found[sample_id].append(stage_of(stage))
    return {sample_id: tuple(stages) for sample_id, stages in found.items()}


def samples_holding(
    database: Database, patient_id: int, identities: Collection[tuple[str, int]]
) -> dict[int, int]:
    """Return how many of some images each sample of a patient has already, by its id.

    `identities` are SHA-256 and page, as `FieldImage.identity`.
    """
    with database.reading() as session:
        rows = session.execute(
            select(FieldRow.sample_id, func.count())
            .join(SampleRow, SampleRow.id == FieldRow.sample_id)
            .where(
                SampleRow.patient_id == patient_id,
                tuple_(FieldRow.sha256, FieldRow.page).in_(identities),
            )
            .group_by(FieldRow.sample_id)
        )
        return dict(rows.all())


def _type_counts(session: Session, patient_id: int) -> dict[int, dict[str, int]]:
    """Count white cells by sample and type, the uncertain ones under `_UNCERTAIN`.

    The rule is that of `core.domain.results.CellCounts`, in SQL: a history must not load its cells.
    """
    is_smudge = and_(CellRow.status == "out_of_scope", CellRow.type == "smudge_cell")
    counted = case(
        (CellRow.label.is_not(None), CellRow.label),
        (or_(CellRow.status == "classified", is_smudge), CellRow.type),
        (CellRow.status == "uncertain", _UNCERTAIN),
    )
    rows = session.execute(
        select(FieldRow.sample_id, counted, func.count())
        .select_from(CellRow)
        .join(FieldRow, FieldRow.id == CellRow.field_id)
        .join(SampleRow, SampleRow.id == FieldRow.sample_id)
        .where(
            SampleRow.patient_id == patient_id,
            or_(CellRow.duplicate.is_(False), CellRow.label.is_not(None)),
            counted != NOT_A_WHITE_CELL,
        )
        .group_by(FieldRow.sample_id, counted)
    )
    counts: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for sample_id, key, number in rows:
        counts[sample_id][key] = number
    return counts
