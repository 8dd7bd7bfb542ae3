"""Cases for the tests of reports: every status, label and kind of cell, on made pixels."""

from datetime import UTC, date, datetime

import numpy as np

from core.cases.records import Case, Comment, Patient, Sample, SampleField, Signature
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, ImageProperties, Scale, StageResult
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES, STAGES

WIDTH, HEIGHT, SIDE = 1200, 900, 60
COUNTS = {
    "neutrophil": 118,
    "lymphocyte": 40,
    "monocyte": 14,
    "eosinophil": 6,
    "basophil": 1,
    "immature_granulocyte": 9,
    "erythroblast": 22,
}


def white_cell(place, cell_type, status="classified", confidence=0.97):
    rest = (1 - confidence) / (len(CELL_TYPES) - 1)
    probabilities = {key: confidence if key == cell_type else rest for key in CELL_TYPES}
    box = Box(place % 15 * 80 + 5.25, place // 15 * 80 % 800 + 5, SIDE, SIDE - 2)
    attributes = {name: values[place % len(values)] for name, values in ATTRIBUTES.items()}
    return Cell("wbc", box, confidence, status, cell_type, probabilities, attributes=attributes)


def make_cells(counts, uncertain=12, blasts=3, smudges=4):
    """Return white cells of given counts, and those that a reviewer named or that wait for one."""
    types = [key for key, number in counts.items() for _ in range(number)]
    cells = [white_cell(i, key, confidence=0.9 + i % 10 / 100) for i, key in enumerate(types)]
    for number, label in ((blasts, "blast"), (smudges, "smudge_cell")):
        cells += [
            white_cell(i + 7, "lymphocyte", "uncertain", 0.5).reviewed(label, "Ada")
            for i in range(number)
        ]
    cells += [white_cell(i, "monocyte", "uncertain", 0.4 + i / 50) for i in range(uncertain)]
    cells += [
        white_cell(3, "basophil").reviewed("not_a_white_cell", "Bo"),
        white_cell(4, "platelet", "out_of_scope"),
        Cell("rbc", Box(100, 820, 50, 50), 0.8),
        Cell("platelet", Box(300, 820, 20, 20), 0.7),
    ]
    return cells


def make_case(
    counts=COUNTS,
    *,
    cells=None,
    fields=3,
    name="Zoë Łukasiewicz",
    identifier="P-0042",
    material="peripheral_blood",
    white_cell_count=14.2,
    state="signed",
    file="field",
    models=None,
):
    """Return a case whose cells are dealt out over fields."""
    everything = make_cells(counts) if cells is None else cells
    analyses = [
        FieldAnalysis(
            file=f"{file}-{n}.png",
            sha256=f"{n:064x}",
            width=WIDTH,
            height=HEIGHT,
            properties=ImageProperties("PNG", "RGB", 8, 123_456),
            cells=tuple(everything[n::fields]),
            scale=Scale(0.1625, "red cells"),
        )
        for n in range(fields)
    ]
    stage = StageResult("f", "Pre", dict.fromkeys(STAGES, 0.25), 0.25, "classified")
    starts = np.cumsum([0, *(len(a.cells) for a in analyses)]).tolist()
    used = {"detector": "1.2.3", "wbc": "1.2.3"} if models is None else models
    return Case(
        patient=Patient(1, identifier, name, "female", 1961),
        sample=Sample(7, 1, date(2026, 3, 4), material, white_cell_count, state, 5),
        fields=tuple(
            SampleField(
                n + 1,
                analysis,
                tuple(
                    starts[n] + i if cell.kind == "wbc" else None
                    for i, cell in enumerate(analysis.cells, 1)
                ),
                used,
                stage if n == 0 else None,
            )
            for n, analysis in enumerate(analyses)
        ),
        signatures=(Signature("Ada", datetime(2026, 3, 5, 9, 30, tzinfo=UTC)),)
        if state == "signed"
        else (),
        comments=(Comment(1, "Bo", datetime(2026, 3, 5, tzinfo=UTC), "=Ask for a new smear."),),
    )


def read_pixels(field_id):
    """Return an image that differs by field."""
    rng = np.random.default_rng(field_id)
    small = rng.integers(90, 240, (HEIGHT // 30, WIDTH // 30, 3), dtype=np.uint8)
    return small.repeat(30, axis=0).repeat(30, axis=1)
