"""The report of a case: one printed A4 page, and further ones for long texts.

The conclusion and the comments are printed whole, below the flags where they are short.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from core.domain.differential import Share, subtypes_text
from core.domain.intervals import Estimate
from core.domain.taxonomy import CELL_TYPES, RESEARCH_NOTICE
from core.evaluation.model_error import accuracy_text
from core.exports.pdf.cells import ReadPixels, representative_cells
from core.exports.pdf.sheet import FAINT, GREY, HEIGHT, INK, MARGIN, MISSING, WIDTH, Sheet, Style
from core.exports.summary import CaseSummary, Row, facts

_INNER = WIDTH - 2 * MARGIN
_HALF = _INNER / 2
_FLAG_LINES = 10
_FOOTER, _SIGNATURES = 36.0, 20.0
"""Heights kept free at the bottom of the page."""
_SEVERITY_COLOURS = {"urgent": "#A50026", "warning": "#B35806", "note": GREY}

# Heading and width of each column of the differential; the chart stands between range and counts.
_COLUMNS = (
    ("Type", 34.0),
    ("Cells", 10.0),
    ("%", 11.0),
    ("95 % limits", 20.0),
    ("Range", 15.0),
    ("", 32.0),
    ("10⁹/L", 11.0),
    ("95 % limits", 19.0),
    ("Range", 14.0),
    ("Right, %", 20.0),
)
_CHART_COLUMN = 5
_LEFTS = list(accumulate((width for _, width in _COLUMNS[:-1]), initial=MARGIN))
_SMALL, _QUIET, _BOLD = Style(7), Style(7, colour=GREY), Style(7, bold=True)
_HEADING = Style(8.5, bold=True)
_NOTICE = Style(7.5, bold=True, align="C")
_TEXT_LINES, _LINES_A_PAGE = 9, 80
"""Lines of conclusion and comments that the first page has room for, and a further page."""
_TINY = Style(5.5, colour=GREY, align="C")


def case_pdf(summary: CaseSummary, read_pixels: ReadPixels) -> bytes:
    """Return the report as PDF.

    Each field is read once with `read_pixels`, and only when one of its cells is shown; errors of
    reading are raised.
    """
    sheet = Sheet("White cell differential")
    y = _head(sheet, summary)
    y = _differential(sheet, summary, y + 2)
    y = _flags(sheet, summary, y + 2)
    texts = list(_texts(sheet, summary))
    is_short = len(texts) <= _TEXT_LINES
    if texts and is_short:
        y = _write(sheet, texts, y + 2)
    elif texts:
        sheet.text((MARGIN, y + 2, _INNER), "Conclusion and comments: next page.", _BOLD)
        y += 6
    representative_cells(sheet, summary.case, read_pixels, (y + 2, HEIGHT - _FOOTER - _SIGNATURES))
    _signatures(sheet, summary)
    _foot(sheet, summary)
    if not is_short:
        _further_pages(sheet, summary, texts)
    return sheet.output()


def _texts(sheet: Sheet, summary: CaseSummary) -> Iterator[tuple[str, Style]]:
    """Yield the lines of the conclusion and the comments, with their headings."""
    case = summary.case
    if case.conclusion:
        yield "Conclusion", _HEADING
        for line in sheet.broken(case.conclusion, _INNER, _SMALL):
            yield line, _SMALL
    if case.comments:
        yield "Comments", _HEADING
    for said in case.comments:
        text = f"{said.author}, {said.at:%Y-%m-%d %H:%M} UTC: {said.text}"
        for line in sheet.broken(text, _INNER, _SMALL):
            yield line, _SMALL


def _write(sheet: Sheet, texts: Sequence[tuple[str, Style]], y: float) -> float:
    for text, style in texts:
        sheet.text((MARGIN, y, _INNER), text, style)
        y += style.height
    return y


def _further_pages(sheet: Sheet, summary: CaseSummary, texts: Sequence[tuple[str, Style]]) -> None:
    """Print texts on as many pages as they need, each with the case that it belongs to."""
    case = summary.case
    whose = f"{case.patient.identifier}, sample {case.sample.id} of {case.sample.taken:%Y-%m-%d}"
    for start in range(0, len(texts), _LINES_A_PAGE):
        sheet.add_page()
        sheet.text((MARGIN, 9, _INNER), whose, _HEADING)
        sheet.line((MARGIN, 14), (WIDTH - MARGIN, 14), INK, 0.4)
        _write(sheet, texts[start : start + _LINES_A_PAGE], 17)
        sheet.text((MARGIN, HEIGHT - 9, _INNER), RESEARCH_NOTICE, _NOTICE)


def _head(sheet: Sheet, summary: CaseSummary) -> float:
    sheet.text((MARGIN, 9, 120), "White cell differential", Style(15, bold=True))
    sheet.text((WIDTH - MARGIN - 66, 12, 66), "Leukoscope", Style(7, colour=GREY, align="R"))
    sheet.line((MARGIN, 17.5), (WIDTH - MARGIN, 17.5), INK, 0.4)
    known = facts(summary)
    rows = -(-len(known) // 2)
    ends = []
    for column in (0, 1):
        x, y = MARGIN + column * _HALF, 19.0
        for name, value in list(known.items())[column * rows : (column + 1) * rows]:
            sheet.text((x, y, 44), name, _QUIET)
            is_long = name not in ("Patient", "Name")
            if is_long:
                end = sheet.paragraph((x + 42, y, _HALF - 43), value, most=2)
            else:
                sheet.text((x + 42, y, _HALF - 43), value, Style(bold=True))
                end = y
            y = max(y + 4, end + 0.3)
        ends.append(y)
    return max(ends)


def _differential(sheet: Sheet, summary: CaseSummary, top: float) -> float:
    sheet.bar((MARGIN, top, _INNER, 5), "#EDEDED")
    names = [name for name, _ in _COLUMNS]
    if not summary.accuracy:
        names[-1] = ""
    _line(sheet, names, top + 0.7, _BOLD)
    chart = _LEFTS[_CHART_COLUMN] + 3, _COLUMNS[_CHART_COLUMN][1] - 6
    right = summary.accuracy[0].by_type if summary.accuracy else {}
    y = top + 5.5
    first = y
    for row in (*summary.rows, *summary.beside):
        is_beside = row in summary.beside
        calls, in_blood = right.get(row.key), row.absolute.estimate
        values = [
            f"{row.name}, per 100" if is_beside else row.name,
            str(row.share.count),
            f"{row.share.percent:.1f}",
            row.share.limits_text,
            row.percent.range_text,
            "",
            _volume(in_blood.value) if in_blood else "",
            _volumes(row.share, in_blood) if in_blood else "",
            row.absolute.range_text if in_blood else "",
            f"{calls.value:.0f} ({calls.low:.0f}-{calls.high:.0f})" if calls else "",
        ]
        _line(sheet, values, y, _QUIET if is_beside else _SMALL)
        if not is_beside:
            _interval(sheet, row, chart, y)
        y += 4.4
    _axis(sheet, chart, first, y - 4.4 * len(summary.beside))
    if subtypes := subtypes_text(summary.counted):
        text = f"Subtypes as the model suggests them: {subtypes}."
        y = sheet.paragraph((MARGIN, y + 0.5, _INNER), text, _SMALL, most=2)
    sheet.line((MARGIN, y + 0.5), (WIDTH - MARGIN, y + 0.5), FAINT)
    return y + 1


def _line(sheet: Sheet, texts: Sequence[str], y: float, style: Style) -> None:
    """Write a line of the table, with all but the first column set to the right."""
    for text, x, (_, width) in zip(texts, _LEFTS, _COLUMNS, strict=True):
        sheet.text((x, y, width), text, style)
        style = replace(style, align="R")


def _interval(sheet: Sheet, row: Row, chart: tuple[float, float], y: float) -> None:
    """Draw a percentage with its interval over its reference range, on a scale of 0 to 100 %."""
    left, width = chart
    scale = width / 100
    middle = y + 1.8
    if (limits := row.percent.limits) and limits.high:
        box = left + limits.low * scale, y - 0.1, (limits.high - limits.low) * scale, 3.8
        sheet.bar(box, "#DADADA")
    colour = CELL_TYPES[row.key].colour
    start, end = left + row.share.low * scale, left + row.share.high * scale
    sheet.line((start, middle), (end, middle), colour, 0.5)
    sheet.dot((left + row.share.percent * scale, middle), 0.9, colour)


def _axis(sheet: Sheet, chart: tuple[float, float], top: float, bottom: float) -> None:
    left, width = chart
    for percent in (0, 50, 100):
        x = left + width * percent / 100
        sheet.line((x, top - 0.4), (x, bottom - 0.4), FAINT, 0.1)
        sheet.text((x - 5, bottom - 0.3, 10), str(percent), _TINY)
    sheet.text((left, bottom + 2.1, width), "percent; grey: range", _TINY)


def _flags(sheet: Sheet, summary: CaseSummary, top: float) -> float:
    sheet.text((MARGIN, top, 60), "Flags", _HEADING)
    y = top + 4.5
    if not summary.flags:
        sheet.text((MARGIN, y, _INNER), "None.")
        return y + 4
    limit = y + _FLAG_LINES * 3.5
    for place, flag in enumerate(summary.flags):
        if y + 7 > limit:
            left = len(summary.flags) - place
            sheet.text((MARGIN, y, _INNER), f"{left} more flags are in the other exports.", _SMALL)
            return y + 4
        style = replace(_BOLD, colour=_SEVERITY_COLOURS[flag.severity])
        sheet.text((MARGIN, y, 16), flag.severity, style)
        y = sheet.paragraph((MARGIN + 16, y, _INNER - 16), flag.sentence, _SMALL, most=2)
    return y


def _signatures(sheet: Sheet, summary: CaseSummary) -> None:
    y = HEIGHT - _FOOTER - _SIGNATURES + 1
    sheet.line((MARGIN, y), (WIDTH - MARGIN, y), FAINT)
    signed = [f"{s.reviewer}, {s.at:%Y-%m-%d %H:%M} UTC" for s in summary.case.signatures]
    sheet.text((MARGIN, y + 1, 40), "Signed in Leukoscope", _BOLD)
    for place, text in enumerate(signed[:3] or ["Nobody has signed this case."]):
        sheet.text((MARGIN, y + 5 + 3.8 * place, _HALF - 4), text, _SMALL)
    for place, name in enumerate(("Reviewer", "Second reviewer")):
        bottom = y + 8 + 8 * place
        sheet.text((MARGIN + _HALF, bottom - 3.3, 26), name, _QUIET)
        sheet.line((MARGIN + _HALF + 26, bottom), (WIDTH - MARGIN, bottom), GREY)


def _foot(sheet: Sheet, summary: CaseSummary) -> None:
    y = HEIGHT - _FOOTER + 1
    sheet.line((MARGIN, y), (WIDTH - MARGIN, y), FAINT)
    y += 1
    for text in _notes(summary, sheet):
        y = sheet.paragraph((MARGIN, y, _INNER), text, Style(5.8, colour=GREY), most=3)
    sheet.text((MARGIN, HEIGHT - 9, _INNER), RESEARCH_NOTICE, _NOTICE)


def _notes(summary: CaseSummary, sheet: Sheet) -> list[str]:
    notes = [f"Models: {'; '.join(summary.models) or 'none'}."]
    rows = (*summary.rows, *summary.beside)
    judged = [part for row in rows for part in (row.percent, row.absolute)]
    if summary.nlr.estimate:
        judged.append(summary.nlr)
    if used := dict.fromkeys(part.limits.source for part in judged if part.limits):
        sources = "; ".join(used)
        notes.append(
            f"Reference ranges: {summary.laboratory} ({sources}). "
            "Ranges differ between laboratories and populations."
        )
    else:
        notes.append("No reference ranges apply to this sample.")
    if summary.is_blood and summary.white_cell_count is None:
        notes.append("Counts per volume need a white cell count, which was not entered.")
    error = f"additional: {accuracy_text(summary.accuracy)}."
    if summary.accuracy:
        home = summary.accuracy[0].name
        error += (
            f" Right, %: of the cells of {home} that the model called a type, those that are of it."
        )
    notes.append(f"95 % limits: {summary.counted.interval_note}. The model's own error is {error}")
    if sheet.has_missing:
        notes.append(f"{MISSING} stands for a character that is not in the font.")
    return notes


def _volumes(share: Share, in_blood: Estimate) -> str:
    high = "unknown" if share.upper_limit is None else _volume(in_blood.high)
    return f"{_volume(in_blood.low)}-{high}"


def _volume(cells: float) -> str:
    return f"{cells:.2f}" if cells < 100 else f"{cells:.0f}"
