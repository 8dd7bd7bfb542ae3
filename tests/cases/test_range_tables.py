"""The laboratory's own ranges: shared by all who open the database, versioned, audited."""

import pytest

from core.cases.audit import latest
from core.cases.database import open_database
from core.cases.range_tables import (
    ranges_in_force,
    ranges_table,
    restore_ranges,
    save_ranges,
)
from core.domain.reference_ranges import ReferenceRange, read_table
from core.errors import NotAllowedError, RangesError, StaleCaseError
from tests.cases.made import ADMIN, REVIEWER
from tests.shipped_ranges import file_ranges


def line(low, high, laboratory="Ours"):
    return ReferenceRange(
        laboratory=laboratory,
        analyte="neutrophil",
        unit="%",
        sex="any",
        age_from=18,
        age_to=None,
        low=low,
        high=high,
        source="Own study of 120 donors",
    )


def test_the_file_counts_until_a_table_is_saved(database, settings):
    table = ranges_table(database, settings)
    assert (table.version, table.edited) == (0, False)
    assert list(table.lines) == read_table(settings.ranges)
    assert ranges_in_force(database, settings).title == file_ranges(settings).title


def test_a_saved_table_counts_for_every_process_and_is_audited(database, settings):
    save_ranges(database, ADMIN, 0, [line(45, 70), line(1, 2, "Theirs")], settings)
    other = open_database(settings)
    ranges = ranges_in_force(other, settings)
    assert ranges.title == "Ours, table 1"
    assert ranges.of("%")["neutrophil"] == line(45, 70)
    theirs = settings.model_copy(update={"laboratory": "Theirs"})
    assert ranges_in_force(other, theirs).of("%")["neutrophil"].high == 2
    other.engine.dispose()
    (entry,) = latest(database).items
    assert (entry.user, entry.action) == (ADMIN.name, "set reference ranges")
    assert entry.details == {"version": 1, "lines": 2}


def test_the_file_can_count_again_and_nothing_is_forgotten(database, settings):
    save_ranges(database, ADMIN, 0, [line(45, 70)], settings)
    restore_ranges(database, ADMIN, 1)
    table = ranges_table(database, settings)
    assert (table.version, table.edited) == (2, False)
    assert ranges_in_force(database, settings).title == file_ranges(settings).title
    save_ranges(database, ADMIN, 2, [line(46, 70)], settings)
    assert ranges_in_force(database, settings).title == "Ours, table 3"


def test_nobody_overwrites_a_table_they_have_not_seen(database, settings):
    save_ranges(database, ADMIN, 0, [line(45, 70)], settings)
    with pytest.raises(StaleCaseError, match="ada@lab changed this record"):
        save_ranges(database, ADMIN, 0, [line(50, 70)], settings)
    assert ranges_in_force(database, settings).of("%")["neutrophil"].low == 45


def test_only_admins_change_ranges_and_the_laboratory_in_force_must_stay(database, settings):
    for change in (
        lambda: save_ranges(database, REVIEWER, 0, [line(45, 70)], settings),
        lambda: restore_ranges(database, REVIEWER, 0),
    ):
        with pytest.raises(NotAllowedError):
            change()
    ours = settings.model_copy(update={"laboratory": "Adults"})
    with pytest.raises(RangesError, match="laboratory 'Adults'"):
        save_ranges(database, ADMIN, 0, [line(45, 70)], ours)
    assert ranges_table(database, settings).version == 0
