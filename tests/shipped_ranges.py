"""The reference ranges of the file that settings name."""

from core.domain.reference_ranges import ReferenceRanges, choose_laboratory, read_table
from core.settings import Settings, get_settings


def file_ranges(settings: Settings | None = None) -> ReferenceRanges:
    settings = settings or get_settings()
    return choose_laboratory(read_table(settings.ranges), settings)
