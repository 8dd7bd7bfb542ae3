from core.charts.confusion import agreement_figure
from core.domain.agreement import agreement
from core.domain.taxonomy import NOT_A_WHITE_CELL


def test_rows_are_the_first_reading_and_numbers_are_cells():
    pairs = [("neutrophil", "neutrophil")] * 3 + [("neutrophil", NOT_A_WHITE_CELL)]
    figure = agreement_figure(agreement(pairs), "The model", "Reviewer", dark=False)
    (heat,) = figure.data
    assert [list(row) for row in heat.z] == [[75.0, 25.0], [0.0, 0.0]]
    assert [list(row) for row in heat.text] == [["3", "1"], ["", ""]]
    assert figure.layout.yaxis.title.text == "The model"
    assert figure.layout.xaxis.title.text == "Reviewer"
    assert list(figure.layout.xaxis.ticktext) == ["Neutrophil", "Not<br>a white cell"]
