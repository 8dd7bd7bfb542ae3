from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, ImageProperties
from core.synthetic.answer_key import answer_key

PROPERTIES = ImageProperties("JPEG", "RGB", 8, 1)


def cell(kind, box, cell_type, status="classified"):
    return Cell(kind, Box(*box), 0.9, status, cell_type, {cell_type: 0.9})


def analysis(*cells):
    return FieldAnalysis("made.jpg", "a", 640, 480, PROPERTIES, cells)


def made(*cells):
    return {"a": {"cells": [{"kind": "wbc", "type": t, "box": list(b)} for t, b in cells]}}


def test_each_way_to_be_right_and_wrong():
    here, there, far, corner = (0, 0, 50, 50), (100, 0, 50, 50), (200, 0, 50, 50), (300, 0, 50, 50)
    found = analysis(
        cell("wbc", (2, 0, 50, 50), "neutrophil"),
        cell("wbc", there, "monocyte"),
        cell("wbc", far, "basophil", "uncertain"),
        cell("wbc", (400, 300, 40, 40), "lymphocyte"),
    )
    truth = made(
        ("neutrophil", here), ("lymphocyte", there), ("basophil", far), ("eosinophil", corner)
    )
    key = answer_key([found], truth)
    assert list(key["answer"]) == ["right", "wrong", "needs review", "missed", "not a white cell"]
    assert key["number"].tolist()[:3] == [1, 2, 3]


def test_one_found_cell_answers_for_one_made_cell():
    close = made(("neutrophil", (0, 0, 50, 50)), ("neutrophil", (5, 0, 50, 50)))
    key = answer_key([analysis(cell("wbc", (0, 0, 50, 50), "neutrophil"))], close)
    assert list(key["answer"]) == ["right", "missed"]


def test_pictures_without_truth_are_left_out():
    assert answer_key([analysis(cell("wbc", (0, 0, 9, 9), "neutrophil"))], {}).empty
