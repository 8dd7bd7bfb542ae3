"""The line of types above the field of a count."""

import pytest
from streamlit.testing.v1 import AppTest


def line_of(neutrophils: int) -> None:
    from core.domain.differential import differential_of_counts
    from ui.count.results import show_shares

    show_shares(differential_of_counts({"neutrophil": neutrophils, "monocyte": 10}))


@pytest.mark.parametrize(("neutrophils", "shown"), [(39, "<b>39</b>"), (40, "<b>80.0 %</b>")])
def test_few_cells_have_counts_and_no_percentages(neutrophils, shown):
    app = AppTest.from_function(line_of, args=(neutrophils,), default_timeout=60).run()
    (line,) = app.get("html")
    assert shown in line.proto.body
    assert ("%</b>" in line.proto.body) == (neutrophils >= 40)
