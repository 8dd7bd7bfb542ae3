"""Counted samples for tests."""

from datetime import date

from core.cases.counting import count_summary
from core.cases.records import Sample, SampleSummary


def sample(number=1, day=1, **details):
    details = {"material": "peripheral_blood", "white_cell_count": None} | details
    return Sample(number, 1, date(2026, 5, day), state="draft", version=1, **details)


def counted(type_counts, *, uncertain=2, **details):
    return count_summary(SampleSummary(sample(**details), 3, type_counts, uncertain))
