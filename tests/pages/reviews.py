"""What tests of the page Review ask of the database."""

from core.cases.reviews import reviews_of
from core.cases.samples import load_case
from tests.pages.app import checked


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


def choice(app, label):
    """Return the button of the queue that labels the shown cell; `agree` is one of the labels."""
    return app.button(key=f"review_{label}_{app.session_state['review_shown']}")


def choose(app, label):
    """Press the button of the queue that labels the shown cell."""
    choice(app, label).click()
    return checked(app.run())
