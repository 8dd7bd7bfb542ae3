"""Times the lists of the case database at ten thousand samples and a million white cells.

    python benchmarks/cases.py [FOLDER] [--address postgresql://...]

Fills a database in FOLDER (default: a temporary folder) with random rows and prints milliseconds.
Needs about 1 GB of disk. The rows have no images.
"""

import argparse
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import func, insert, select

from core.bench.timing import median_ms
from core.cases.database import Database, open_database
from core.cases.listing import patient_history, search_patients
from core.cases.mappers import cell_rows, field_row
from core.cases.orm import CellRow, FieldRow, PatientRow, SampleRow
from core.cases.queue import model_agreement, queue
from core.cases.records import NewField, QueueFilter
from core.cases.samples import load_case
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, FieldImage, ImageProperties
from core.domain.taxonomy import CELL_TYPES
from core.settings import Settings

PATIENTS, SAMPLES_EACH, WHITE_CELLS, RED_CELLS = 2_000, 5, 100, 100
THRESHOLD = 0.7
"""Confidence below which a cell is uncertain."""


def random_field(rng: np.random.Generator, number: int) -> NewField:
    """Make a field of white and red cells with random types."""
    keys = list(CELL_TYPES)
    cells = []
    for probabilities in rng.dirichlet(np.full(len(keys), 0.05), WHITE_CELLS).tolist():
        confidence = max(probabilities)
        cells.append(
            Cell(
                kind="wbc",
                box=Box(*rng.uniform(1, 600, 2).tolist(), 40.0, 40.0),
                confidence=confidence,
                status="classified" if confidence > THRESHOLD else "uncertain",
                type=keys[probabilities.index(confidence)],
                probabilities=dict(zip(keys, probabilities, strict=True)),
                detection_score=0.9,
            )
        )
    for x, y, score in rng.uniform(0, 1, (RED_CELLS, 3)).tolist():
        cells.append(Cell("rbc", Box(600 * x, 600 * y, 20, 20), score, detection_score=score))
    properties = ImageProperties("PNG", "RGB", 8, 1)
    sha256 = f"{number:064x}"
    image = FieldImage("field.png", np.zeros((1, 1, 3), np.uint8), sha256, properties)
    found = FieldAnalysis("field.png", sha256, 640, 640, properties, tuple(cells))
    return NewField(image, found, {"detector": "1", "wbc": "1"})


def fill(database: Database) -> None:
    """Insert all rows in bulk; every second sample is signed, a tenth of the cells reviewed."""
    rng = np.random.default_rng(1)
    fields = [random_field(rng, number) for number in range(50)]
    changed = {"changed_by": "bench", "changed_at": datetime.now(UTC)}
    for number in range(1, PATIENTS + 1):
        with database.writing() as session:
            identifier = f"P-{number:06}"
            patient = PatientRow(identifier=identifier, search=identifier.casefold(), **changed)
            session.add(patient)
            session.flush()
            cells = []
            for visit in range(SAMPLES_EACH):
                taken = date(2020, 1, 1) + timedelta(days=int(rng.integers(2000)))
                signed = visit % 2 == 0
                sample = SampleRow(
                    patient_id=patient.id,
                    taken=taken,
                    material="peripheral_blood",
                    state="signed" if signed else "draft",
                    **changed,
                )
                session.add(sample)
                session.flush()
                new = fields[int(rng.integers(len(fields)))]
                field = field_row(sample.id, new, new.image.sha256)
                session.add(field)
                session.flush()
                for row in cell_rows(field.id, new):
                    by = "ana" if rng.random() < 0.1 else None
                    label = row["type"] if by else None
                    cells.append(row | {"label": label, "reviewer": by, "closed": signed})
            session.execute(insert(CellRow), cells)
        if number % 100 == 0:
            sys.stderr.write(f"\r{number:,} of {PATIENTS:,} patients")
    sys.stderr.write("\n")


def main() -> None:
    """Fill the database when it is empty, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--address")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = options.folder or Path(temporary)
        database = open_database(Settings(store=store, database_url=options.address))
        if not search_patients(database).total:
            started = time.perf_counter()
            fill(database)
            print(f"filled in {time.perf_counter() - started:.0f} s")
        with database.reading() as session:
            for table in (SampleRow, FieldRow, CellRow):
                number = session.scalar(select(func.count()).select_from(table))
                print(f"{number:>12,} {table.__tablename__}")
        for name, work in (
            ("list of patients, first page", lambda: search_patients(database)),
            ("list of patients, page 50", lambda: search_patients(database, offset=1225)),
            ("search by identifier", lambda: search_patients(database, "0012")),
            ("list narrowed to a state", lambda: search_patients(database, state="draft")),
            ("one patient's page", lambda: patient_history(database, PATIENTS // 2)),
            ("one case with its cells", lambda: load_case(database, PATIENTS)),
            ("review queue, first page", lambda: queue(database)),
            ("queue of one type", lambda: queue(database, QueueFilter(type="basophil"))),
            ("queue of one patient", lambda: queue(database, QueueFilter(patient_id=7))),
            ("queue of one reviewer", lambda: queue(database, QueueFilter(reviewer="ana"))),
            ("queue, page 400", lambda: queue(database, offset=10_000)),
            ("agreement with the model", lambda: model_agreement(database)),
        ):
            print(f"{median_ms(work):>9.1f} ms {name}")
        database.engine.dispose()


if __name__ == "__main__":
    main()
