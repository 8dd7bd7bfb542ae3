"""Counts of slides in the case database: what was found tile by tile, and what reviewers named.

They survive a restart of the server. Counts that nobody opened for `Settings.draft_days` are
deleted.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from core.cases.database import Database
from core.cases.orm import SlideCountRow, SlideLabelRow, SlideTilesRow
from core.cases.records import User
from core.cases.samples import count_holder
from core.domain.results import Cell
from core.settings import get_settings
from core.slides.analysis import TILES, TileResult
from core.slides.folders import SlideFile

_CELL = TypeAdapter(Cell)
_TOUCHED_AFTER = timedelta(hours=1)
"""Opening a count again within this time does not write."""


@dataclass(frozen=True, slots=True)
class SlideLabel:
    """How a reviewer named a cell of a count."""

    cell: Cell
    """As the model has it."""
    label: str
    user: User
    id: int | None = None
    """Of its row; None where there is no store."""


class CountStore:
    """The stored count of a slide as the file is now. All methods raise CaseError."""

    def __init__(self, database: Database, slide: SlideFile) -> None:
        self._database, self._slide = database, slide

    def exists(self) -> bool:
        """Return whether anything is stored."""
        with self._database.reading() as session:
            return self._find(session) is not None

    def load(self, models: Mapping[str, str]) -> tuple[tuple[TileResult, ...], list[SlideLabel]]:
        """Return the tiles that these models analysed, and all labels in their order."""
        with self._database.reading() as session:
            row = self._find(session)
            if row is None:
                return (), []
            used, same_models = row.used, row.models == dict(models)
            packed = session.scalars(
                select(SlideTilesRow.results)
                .where(SlideTilesRow.count_id == row.id)
                .order_by(SlideTilesRow.id)
            ).all()
            labels = [
                SlideLabel(
                    _CELL.validate_python(label.cell),
                    label.label,
                    User(label.reviewer, label.role),
                    label.id,
                )
                for label in session.scalars(
                    select(SlideLabelRow)
                    .where(SlideLabelRow.count_id == row.id)
                    .order_by(SlideLabelRow.id)
                )
            ]
        if datetime.now(UTC) - used > _TOUCHED_AFTER and not self._database.read_only:
            with self._database.writing() as session:
                self._row(session).used = datetime.now(UTC)
        results: list[TileResult] = []
        for text in packed if same_models else ():
            with suppress(ValidationError):  # of another version of the program
                results += TILES.validate_json(zlib.decompress(base64.b64decode(text)))
        return tuple(results), labels

    def add_tiles(self, results: Sequence[TileResult], models: Mapping[str, str]) -> None:
        """Keep what was found in some tiles; what other models found is deleted."""
        found = json.dumps(TILES.dump_python(tuple(results), mode="json")).encode()
        packed = base64.b64encode(zlib.compress(found)).decode()
        with self._database.writing() as session:
            row = self._row(session)
            if row.models != dict(models):
                session.execute(delete(SlideTilesRow).where(SlideTilesRow.count_id == row.id))
                row.models = dict(models)
            session.add(SlideTilesRow(count_id=row.id, results=packed))

    def add_label(self, new: SlideLabel) -> SlideLabel:
        """Keep a label; return it with the id of its row."""
        with self._database.writing() as session:
            row = SlideLabelRow(
                count_id=self._row(session).id,
                cell=_CELL.dump_python(new.cell, mode="json"),
                label=new.label,
                reviewer=new.user.name,
                role=new.user.role,
                at=datetime.now(UTC),
            )
            session.add(row)
            session.flush()
            return replace(new, id=row.id)

    def remove_label(self, label: SlideLabel) -> None:
        """Take a label back."""
        with self._database.writing() as session:
            session.execute(delete(SlideLabelRow).where(SlideLabelRow.id == label.id))

    def delete_unless_saved(self) -> None:
        """Delete the count with its labels, unless a sample holds it."""
        with self._database.writing() as session:
            row = self._find(session)
            if row is not None and not count_holder(session, row.slide, row.version):
                _delete(session, SlideCountRow.id == row.id)

    def _find(self, session: Session) -> SlideCountRow | None:
        return session.scalars(
            select(SlideCountRow).where(
                SlideCountRow.slide == self._slide.id, SlideCountRow.version == self._slide.version
            )
        ).first()

    def _row(self, session: Session) -> SlideCountRow:
        """Return the row of the count; a new one takes the place of those that expired."""
        row = self._find(session)
        if row is None:
            now = datetime.now(UTC)
            oldest = now - timedelta(days=get_settings().draft_days)
            _delete(session, SlideCountRow.used <= oldest)
            row = SlideCountRow(
                slide=self._slide.id, version=self._slide.version, models={}, used=now
            )
            session.add(row)
            session.flush()
        return row


def _delete(session: Session, which: ColumnElement[bool]) -> None:
    """Delete counts with what was found and their labels."""
    counts = select(SlideCountRow.id).where(which)
    for table in (SlideTilesRow, SlideLabelRow):
        session.execute(delete(table).where(table.count_id.in_(counts)))
    session.execute(delete(SlideCountRow).where(which))
