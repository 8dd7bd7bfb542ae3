"""Results of a class as tables, CSV and XLSX, and a learner's certificate as PDF."""

from datetime import datetime

import pandas as pd

from core.domain.taxonomy import RESEARCH_NOTICE
from core.exports.pdf.sheet import GREY, HEIGHT, INK, MARGIN, WIDTH, Sheet, Style
from core.exports.tables import csv_bytes, estimate_columns
from core.exports.xlsx import workbook
from core.teaching.classes import ClassResults
from core.teaching.learners import Attempt
from core.teaching.quiz import LEVELS, answer_name, compare_counts

_INNER = WIDTH - 2 * MARGIN


def learners_table(results: ClassResults) -> pd.DataFrame:
    """Return a row for each learner: answers, right ones with exact 95 % limits, kappa."""
    rows = []
    for result in results.results:
        attempt = result.attempt
        row: dict[str, object] = {"learner": result.learner.name, "number": result.learner.id}
        row |= {
            "started": _minute(attempt.started if attempt else None),
            "finished": _minute(attempt.finished if attempt else None),
            "answers": sum(a.given is not None for a in attempt.answers) if attempt else 0,
        }
        if results.test.rules.form == "cells":
            score = attempt.score if attempt and attempt.answers else None
            row["right"] = score.right if score else None
            row |= estimate_columns(score.share if score else None, 1, ("percent", "low", "high"))
            row |= estimate_columns(score.agreement.kappa if score else None, 3, "kappa")
        elif attempt:
            row["difference"] = count_difference(attempt)
        rows.append(row)
    return pd.DataFrame(rows)


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def count_difference(attempt: Attempt) -> int:
    """Return by how many cells a count differs from the truth, over all types."""
    compared = compare_counts(attempt.to_count(), attempt.counted(), attempt.rules.labels)
    return sum(abs(line.counted - line.truth) for line in compared)


def answers_table(results: ClassResults) -> pd.DataFrame:
    """Return a row for each answer as it was given."""
    rows = []
    for learner, attempt in results.attempts:
        for answer in attempt.answers:
            question = attempt.questions[answer.question]
            rows.append(
                {
                    "learner": learner.name,
                    "number": learner.id,
                    "question": answer.question + 1,
                    "item": "field" if question.is_field else question.item,
                    "truth": question.truth or None,
                    "answer": answer.given,
                    "right": answer.given == question.truth if question.truth else None,
                    "seconds": answer.seconds,
                    "at": f"{answer.at:%Y-%m-%d %H:%M:%S}",
                }
            )
    columns = ["learner", "number", "question", "item", "truth", "answer", "right", "seconds", "at"]
    return pd.DataFrame(rows, columns=columns)


def types_table(results: ClassResults) -> pd.DataFrame:
    """Return right answers and cells of the class by type; of fields, counts beside the truth."""
    if results.test.rules.form == "fields":
        rows = [
            {"learner": learner.name, "type": c.label, "truth": c.truth, "counted": c.counted}
            for learner, attempt in results.attempts
            for c in compare_counts(attempt.to_count(), attempt.counted(), attempt.rules.labels)
        ]
        return pd.DataFrame(rows, columns=["learner", "type", "truth", "counted"])
    by_label = results.score().by_label
    return pd.DataFrame(
        [(label, right, cells) for label, (right, cells) in by_label.items()],
        columns=["type", "right", "cells"],
    )


def matrix_table(results: ClassResults) -> pd.DataFrame:
    """Return the confusion matrix of the class, truth down and answers across."""
    compared = results.score().agreement
    names = [answer_name(label) for label in compared.labels]
    table = pd.DataFrame(compared.matrix, columns=names)
    table.insert(0, "truth", names)
    return table


def count_differences(results: ClassResults) -> pd.DataFrame:
    """Return by learner and type how many cells too many (or, negative, too few) were counted."""
    learners = {"learner": [learner.name for learner, _ in results.finished]}
    return pd.DataFrame(
        learners
        | {
            answer_name(count.label): [counted - count.truth for counted in count.counted]
            for count in results.counts()
        }
    )


def class_csv(results: ClassResults) -> bytes:
    """Return all answers as CSV, with formulas disarmed."""
    return csv_bytes(answers_table(results))


def class_xlsx(results: ClassResults) -> bytes:
    """Return learners, types, matrix and answers as a workbook."""
    sheets = {"Learners": learners_table(results), "Types": types_table(results)}
    if results.test.rules.form == "cells":
        sheets["Matrix"] = matrix_table(results)
    else:
        sheets["Differences"] = count_differences(results)
    return workbook({**sheets, "Answers": answers_table(results)})


def certificate_pdf(title: str, teacher: str, name: str, attempt: Attempt) -> bytes:
    """Return the certificate of a finished test."""
    sheet = Sheet(f"Certificate: {title}")
    middle = Style(12, align="C")
    sheet.line((MARGIN, 40), (WIDTH - MARGIN, 40), INK, 0.6)
    sheet.text((MARGIN, 52, _INNER), "Certificate", Style(30, bold=True, align="C"))
    sheet.text((MARGIN, 76, _INNER), "This says that", middle)
    sheet.text((MARGIN, 86, _INNER), name, Style(22, bold=True, align="C"))
    sheet.text((MARGIN, 102, _INNER), "has finished the test", middle)
    sheet.text((MARGIN, 111, _INNER), title, Style(16, bold=True, align="C"))
    y = 130.0
    for line in certificate_lines(attempt):
        sheet.text((MARGIN, y, _INNER), line, middle)
        y += 8
    when = attempt.finished or attempt.started
    sheet.text((MARGIN, 190, _INNER), f"{when:%Y-%m-%d}. Test made by {teacher}.", middle)
    sheet.line((WIDTH / 2 - 40, 225), (WIDTH / 2 + 40, 225), GREY)
    sheet.text((MARGIN, 227, _INNER), "Teacher", Style(9, colour=GREY, align="C"))
    sheet.line((MARGIN, 262), (WIDTH - MARGIN, 262), INK, 0.6)
    sheet.text((MARGIN, 265, _INNER), "Leukoscope", Style(9, colour=GREY, align="C"))
    sheet.text((MARGIN, HEIGHT - 20, _INNER), RESEARCH_NOTICE, Style(8, bold=True, align="C"))
    return sheet.output()


def certificate_lines(attempt: Attempt) -> list[str]:
    """Return what a certificate says of the result."""
    level = LEVELS[attempt.rules.level].name.lower()
    if attempt.is_count:
        cells, truth = attempt.counted().total(), attempt.to_count().total()
        return [
            f"Synthetic fields: {len(attempt.questions)}. Cells counted: {cells}; drawn: {truth}.",
            f"Difference over all types, in cells: {count_difference(attempt)} ({level}).",
        ]
    score = attempt.score
    lines = [
        f"{score.right} of {score.agreement.total} cells named rightly ({level}).",
        f"Right: {score.share.text(' %')}, 95 % interval in brackets.",
    ]
    if score.agreement.kappa:
        lines.append(
            f"Cohen's kappa against the reference: {score.agreement.kappa.text(digits=2)}."
        )
    real = sum(question.is_real for question in attempt.questions)
    drawn = len(attempt.questions) - real
    lines.append(f"Cells: {drawn} synthetic, {real} real (PBC).")
    return lines
