"""How frequent the values of an attribute are, by cell type."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from core.charts.style import top_legend

_COLOURS = ("#7A5CA8", "#D98A00", "#3E8E7E", "#C25B7C", "#5B8DB8", "#8A7F8D")
"""Of values, in their order; none is the colour of a cell type beside it."""


def values_figure(
    shares: Mapping[str, Mapping[str, float]], words: Mapping[str, str], shown_width: int
) -> go.Figure:
    """Draw a bar a cell type, divided by the percentages of the values.

    `shares` are percentages by name of the type and value, `words` the values in words and order.
    `shown_width` is the width on the page in CSS pixels, about.
    """
    names: Sequence[str] = list(shares)
    figure = go.Figure()
    for (value, word), colour in zip(words.items(), _COLOURS, strict=False):
        percents = [shares[name].get(value, 0.0) for name in names]
        figure.add_bar(
            y=names,
            x=percents,
            name=word,
            orientation="h",
            marker={"color": colour},
            text=[f"{p:.0f}" if p >= 8 else "" for p in percents],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            hovertemplate=f"%{{y}}: %{{x:.1f}} % {word}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        height=40 + 40 * len(names),
        margin={"l": 0, "r": 10, "t": 0, "b": 0},
        dragmode=False,
        bargap=0.3,
    )
    figure.update_xaxes(title="% of the labelled cells", range=[0, 100], fixedrange=True)
    figure.update_yaxes(autorange="reversed", fixedrange=True, automargin=True)
    top_legend(figure, shown_width)
    return figure
