import hashlib
import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import select, text

from core.cases.audit import verify
from core.cases.database import open_database
from core.cases.orm import FieldRow, SampleRow
from core.cases.reviews import reviews_of
from core.cases.samples import load_case, sweep
from tests.cases.savers import MOVED

KILLS = 100
ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_lost_or_half_saved_when_savers_are_killed(settings):
    address = settings.database_url.get_secret_value() if settings.database_url else ""
    kills = KILLS if not address else KILLS // 5
    subprocess.run(
        [sys.executable, "-m", "tests.cases.savers", settings.store, address, str(kills)],
        check=True,
        timeout=400,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    database = open_database(settings)
    with database.reading() as session:
        if not address:
            assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        samples = set(session.scalars(select(SampleRow.id)))
        pictures = set(session.scalars(select(FieldRow.image)))
    answered = set(map(int, (settings.store / "saved.txt").read_text().split()))
    assert len(answered) > kills / 20
    assert answered <= samples
    for sample_id in samples:
        check_whole(database, sample_id)
    for picture in pictures:
        data = database.images.path(picture).read_bytes()
        assert hashlib.sha256(data).hexdigest() == picture
    assert verify(database).broken is None
    sweep(database)
    left = {path.stem for path in database.images.root.glob("*/*")}
    assert left == pictures
    database.engine.dispose()


def check_whole(database, sample_id):
    """A case is as one of the four steps left it, nothing between."""
    case = load_case(database, sample_id)
    assert len(case.fields) == (2 if case.sample.version == 1 else 3)
    assert all(len(field.analysis.cells) == 3 for field in case.fields)
    first = case.fields[0]
    cell, version = first.analysis.cells[0], case.sample.version
    assert (cell.reviewer is not None) == (version >= 3)
    assert (cell.box == MOVED) == (version == 4)
    assert len(reviews_of(database, first.cell_ids[0])) == max(version - 2, 0)
