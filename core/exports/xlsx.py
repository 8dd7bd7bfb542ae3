"""Tables as Excel workbooks, which open in columns whatever the decimal mark of a spreadsheet.

CSV does not: a spreadsheet set to decimal commas shows it as one column. So wherever there is CSV
there is a workbook too.
"""

import io
from collections.abc import Mapping

import pandas as pd
from xlsxwriter import Workbook

_OPTIONS = {
    "in_memory": True,
    # Names are not to be trusted: a text is never a formula or a link (OWASP, CSV injection).
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": False,
}
_LONGEST_TEXT = 32_767
"""Characters that a cell of a sheet holds."""
_LARGEST_WHOLE = 999_999_999_999_999
"""Sheets keep 15 digits."""
_WIDEST_COLUMN = 40


def workbook(sheets: Mapping[str, pd.DataFrame]) -> bytes:
    """Return tables as XLSX, a sheet each by its name; what is missing is an empty cell.

    Text stays text: no formulas, no links, and no numbers made of identifiers. Whole numbers that a
    sheet cannot hold exactly, of more than 15 digits, are written as text.
    """
    stream = io.BytesIO()
    with Workbook(stream, _OPTIONS) as book:
        heading = book.add_format({"bold": True, "bottom": 1})
        for name, frame in sheets.items():
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            sheet.write_row(0, 0, list(frame.columns), heading)
            # Through object, so that what is missing is None in every column.
            columns = frame.astype(object).where(frame.notna(), None)
            for place, column in enumerate(columns.columns):
                values = [_cell(value) for value in columns[column]]
                sheet.write_column(1, place, values)
                longest = max(len(str(value)) for value in (column, *values[:200]))
                sheet.set_column(place, place, min(longest + 2, _WIDEST_COLUMN))
            if len(frame):
                sheet.autofilter(0, 0, len(frame), len(frame.columns) - 1)
    return stream.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        return str(value)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value
