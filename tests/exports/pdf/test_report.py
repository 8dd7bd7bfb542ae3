"""The report is one page, whatever the names, and its numbers are those counted."""

from dataclasses import replace

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

from core.domain.taxonomy import RESEARCH_NOTICE
from core.exports.pdf.report import case_pdf
from core.exports.summary import summarise
from core.settings import Settings
from tests.exports.cases import COUNTS, make_case, make_cells, read_pixels
from tests.fake_models import write_models
from tests.shipped_ranges import file_ranges

POINTS = 72 / 25.4
SIGNATURES_TOP, PAGE_HEIGHT, PAGE_WIDTH = 242 * POINTS, 297 * POINTS, 210 * POINTS

RANGES = file_ranges()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Settings(models=write_models(tmp_path_factory.mktemp("models")))


@pytest.fixture
def printed(models):
    """Give the page of a case; fail unless there is exactly one with all text inside."""

    def page(case, read=read_pixels):
        document = pypdfium2.PdfDocument(case_pdf(summarise(case, RANGES, models), read))
        assert len(document) == 1
        text = document[0].get_textpage()
        for place in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(place)
            assert left >= 0
            assert bottom >= 0
            assert right <= PAGE_WIDTH
            assert top <= PAGE_HEIGHT
        return document[0]

    return page


def words(page):
    return " ".join(page.get_textpage().get_text_bounded().split())


def images(page):
    """Bounds of the images in points: left, bottom, right, top."""
    return [o.get_bounds() for o in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE])]


def test_the_numbers_are_those_of_the_differential(printed, models):
    summary = summarise(make_case(), RANGES, models)
    text = words(printed(summary.case))
    right = summary.accuracy[0].by_type
    for row in summary.rows:
        share, absolute = row.share, row.absolute.estimate
        line = f"{row.name} {share.count} {share.percent:.1f} {share.low:.1f}-{share.high:.1f}"
        line += f" {row.percent.range_text}" if row.percent.limits else ""
        line += f" {absolute.value:.2f} {absolute.low:.2f}-{absolute.high:.2f}"
        line += f" {row.absolute.range_text}" if row.absolute.limits else ""
        assert line in text
        if row.key in right:
            calls = right[row.key]
            assert f"{line} {calls.value:.0f} ({calls.low:.0f}-{calls.high:.0f})" in text
    for row in summary.beside:
        assert f"{row.name}, per 100 {row.share.count} {row.share.percent:.1f}" in text
    for flag in summary.flags:
        assert f"{flag.severity} {flag.sentence}" in text


def test_warnings_of_fields_are_flagged_and_many_are_summed_up(printed):
    case = make_case(fields=5)
    sentence = "The scale of the file does not fit the red cells."
    fields = [replace(f, analysis=replace(f.analysis, warnings=(sentence,))) for f in case.fields]
    text = words(printed(replace(case, fields=tuple(fields))))
    for place in range(3):
        assert f"warning field-{place}.png: {sentence}" in text
    assert "warning 2 more fields have warnings." in text


def test_patient_sample_models_ranges_and_signatures_are_named(printed):
    text = words(printed(make_case()))
    for part in (
        "Patient P-0042",
        "Name Zoë Łukasiewicz",
        "Taken 2026-03-04",
        "White cell count 14.2 × 10⁹/L, as entered",
        "191 classified, 12 uncertain",
        "Ada, 2026-03-05 09:30 UTC",
        "detector 1.2.3 (thresholds:",
        "wbc 1.2.3 (thresholds: uncertain 0.80, cellness 0.50)",
        "Reference ranges: Adults (",
        "sampling error only",
    ):
        assert part in text
    assert text.count(RESEARCH_NOTICE) == 1


def test_a_case_that_nobody_signed_says_so(printed):
    assert "Nobody has signed this case." in words(printed(make_case(state="draft")))


def test_cells_of_every_type_are_shown_and_each_field_is_read_once(printed):
    asked = []

    def read(field_id):
        asked.append(field_id)
        return read_pixels(field_id)

    page = printed(make_case(), read)
    assert sorted(asked) == sorted(stored.id for stored in make_case().fields)
    # Five of each type but for one basophil, three blasts and four smudge cells; five uncertain.
    assert len(images(page)) == 5 * 6 + 1 + 3 + 4 + 5
    assert "R Immature granulocyte" in words(page)


def test_all_types_and_many_flags_fit_above_the_signatures(printed):
    counts = dict.fromkeys(COUNTS, 30) | {"basophil": 30}
    cells = [*make_cells(counts, uncertain=60, blasts=30, smudges=30)]
    cells += [cells[0].reviewed("platelet", "Ada")] * 5
    page = printed(make_case(cells=cells, white_cell_count=99.0))
    bounds = images(page)
    types = {cell.type for cell in cells if cell.type}
    assert len(bounds) == 5 * (len(types) + 1)
    assert min(bottom for _, bottom, _, _ in bounds) > PAGE_HEIGHT - SIGNATURES_TOP
    assert max(right for _, _, right, _ in bounds) < PAGE_WIDTH


def test_an_empty_case_is_a_page(printed):
    text = words(printed(make_case(cells=[], name=None, white_cell_count=None)))
    assert "there is no differential" in text
    assert "Name" not in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Привет Ωmega", "Привет Ωmega"),
        ("გიორგი", "გიორგი"),
        ("山田 Taro 🩸", "□□ Taro □"),
        ("tab\tnew\nline\x00end", "tab new line end"),
        ("a\u202eb\u2066c\u200bd", "abcd"),
        ("e\u0301", "é"),
        ("<b>**bold**</b> --x--", "<b>**bold**</b> --x--"),
        ("A\ud800B", "A□B"),
    ],
)
def test_names_are_printed_as_they_are_or_honestly_not(printed, name, shown):
    text = words(printed(make_case({"neutrophil": 1}, cells=[], name=name)))
    assert f"Name {shown} " in text
    assert ("stands for a character" in text) is ("□" in shown)


def test_right_to_left_names_are_shaped(printed):
    text = words(printed(make_case(cells=[], name="שלום")))
    assert "שלום" in text or "םולש" in text


def test_long_names_are_cut(printed):
    long = "W" * 20_000
    case = make_case({"neutrophil": 1}, name=long, identifier=long, file=long, models={long: long})
    text = words(printed(case))
    assert "WWW…" in text
    assert len(text) < 4000


@given(st.text(max_size=80))
@settings(max_examples=25)
def test_any_text_gives_one_page(models, name):
    case = make_case(cells=[], name=name, identifier=name or "x", models={"wbc": name})
    document = pypdfium2.PdfDocument(case_pdf(summarise(case, RANGES, models), read_pixels))
    assert len(document) == 1


def test_possible_blasts_and_subtypes_are_printed(printed):
    cells = make_cells(COUNTS)
    cells[0] = replace(cells[0], subtype="band")
    text = words(printed(make_case(cells=cells)))
    assert "urgent 3 possible blasts: 1 % (0-4) of 203 white cells" in text
    assert (
        f"Subtypes as the model suggests them: of {COUNTS['neutrophil']} neutrophils, 1 band."
        in text
    )


def test_a_short_conclusion_is_on_the_page_and_a_long_one_whole_on_further_ones(printed, models):
    case = make_case()

    def signed(text):
        return replace(case, signatures=(replace(case.signatures[0], conclusion=text),))

    assert "Conclusion No blasts. Comments Bo, 2026-03-05 00:00 UTC: =Ask" in words(
        printed(signed("No blasts."))
    )
    long = "\n".join(f"Line {number} of the conclusion." for number in range(120))
    summary = summarise(signed(long), RANGES, models)
    document = pypdfium2.PdfDocument(case_pdf(summary, read_pixels))
    assert len(document) == 3
    text = " ".join(words(page) for page in document)
    assert all(line in text for line in long.splitlines())
    assert "Conclusion and comments: next page." in words(document[0])
    assert "P-0042, sample 7 of 2026-03-04" in words(document[2])
