import plotly.graph_objects as go

from core.charts.export import figure_table, paper_figure
from core.charts.style import HELPER_LINE, error_bars


def figure() -> go.Figure:
    drawn = go.Figure()
    drawn.add_scatter(x=[0, 1], y=[0, 1], line=HELPER_LINE, hoverinfo="skip", showlegend=False)
    bars = error_bars([2.0, 3.0], [1.5, 2.0], [4.0, 5.0])
    drawn.add_scatter(x=[1, 2], y=[2.0, 3.0], error_y=bars, name="Model")
    drawn.update_xaxes(title="Coverage, %")
    drawn.update_yaxes(title="Accuracy, %")
    return drawn


def test_the_numbers_of_a_figure_have_names_and_limits_without_helper_lines():
    table = figure_table(figure())
    assert table["Series"].tolist() == ["Model", "Model"]
    assert table["Coverage, %"].tolist() == [1, 2]
    assert table["Accuracy, %, lower limit"].tolist() == [1.5, 2.0]
    assert table["Accuracy, %, upper limit"].tolist() == [4.0, 5.0]


def test_a_figure_for_paper_is_white_and_names_its_origin():
    drawn = figure()
    origin = "LISC cells, n = 268. White cell types 0.8.0, revision 0123. " * 5
    paper = paper_figure(drawn, origin)
    assert paper.layout.paper_bgcolor == "white"
    assert paper.layout.title.text.replace("<br>", " ").split() == origin.split()
    assert drawn.layout.title.text is None
