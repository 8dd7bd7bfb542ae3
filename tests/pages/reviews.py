"""What tests of the page Review ask of the database, and what the workbench sends."""

from collections.abc import Mapping
from uuid import uuid4

from core.cases.reviews import reviews_of
from core.cases.samples import load_case
from tests.pages.app import checked, component_data
from ui.review.session import SentLabels, SentUndo


def cells_of(database, sample):
    """Return cell ids in the order neutrophil, monocyte, basophil, lymphocyte."""
    return [
        i
        for field in load_case(database, sample.id).fields
        for i in field.cell_ids
        if i is not None
    ]


def labels_of(database, sample):
    """Return the label that a reviewer gave each cell, or None."""
    return [
        (reviews_of(database, cell_id) or (None,))[-1] for cell_id in cells_of(database, sample)
    ]


def bench(app):
    """Return what the browser is told: cells, groups, answers, images."""
    return component_data(app, "groups")


def steps(app):
    """Return the cells to go through, the first one first."""
    return [cell for cell in bench(app)["cells"] if cell["isStep"]]


def sent(app, labels: Mapping[int, str], comment: str = "") -> SentLabels:
    """Return the decision on shown cells, as the browser sends it."""
    data = bench(app)
    (sample,) = {cell["sample"] for cell in data["cells"] if cell["id"] in labels}
    named = [{"cell": cell, "label": label} for cell, label in labels.items()]
    version = data["samples"][str(sample)]["version"]
    return SentLabels(id=uuid4().hex, sample=sample, version=version, labels=named, comment=comment)


def receive(app, *decisions):
    """Let the page receive decisions; return their answers."""
    session = app.session_state["review_session"]
    session.receive(decisions)
    answers = [session.answers[decision.id] for decision in decisions]
    checked(app.run())
    return answers


def choose(app, label: str, comment: str = ""):
    """Label the first cell to go through; with `agree` as the model says."""
    first = steps(app)[0]
    decision = sent(app, {first["id"]: first["agree"] if label == "agree" else label}, comment)
    assert receive(app, decision) == [None]
    return app


def undo(app):
    """Press Undo, on the workbench or in another view; return the answer of the workbench."""
    if pressed := [b for b in app.button if (b.key or "").startswith("review_undo_")]:
        pressed[0].click()
        checked(app.run())
        return None
    last = bench(app)["undo"]["id"]
    return receive(app, SentUndo(id=uuid4().hex, undo=last))[0]
