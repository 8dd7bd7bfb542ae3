"""Model metrics: the data sets of a model."""

from collections.abc import Mapping

import streamlit as st

from core.charts.metrics import distribution_figure
from core.domain.taxonomy import label_name
from core.evaluation.schema import DataSetFigures
from core.evaluation.sets import DATA_SETS, read_members
from core.evaluation.tables import data_set_title, data_table
from ui.components import shared
from ui.metrics.parts import COUNT, chart


def show_data(data: Mapping[str, DataSetFigures]) -> None:
    """Show sizes and colours of all sets, and the classes and samples of a chosen one."""
    st.header("Data sets")
    shared.data_table(
        data_table(data),
        column_config={"Images": COUNT},
        alt="Images, sizes and colours of each set",
    )
    st.caption(
        "L*, a*, b*: mean CIELAB colour of an image ± its standard deviation over images, from "
        f"up to {max(own.sampled for own in data.values())} images a set. Far apart means "
        "another stain or camera."
    )
    show_one(data)


@st.fragment
def show_one(data: Mapping[str, DataSetFigures]) -> None:
    """Show the classes of one set and an image of each."""
    name = st.segmented_control(
        "Data set",
        list(data),
        default=next(iter(data)),
        required=True,
        format_func=data_set_title,
        key=f"metrics_data_{'_'.join(data)}",
    )
    left, right = st.columns(2, gap="large")
    with left:
        chart(
            distribution_figure(data[name]),
            f"metrics_classes_{name}",
            f"Number of each class in {data_set_title(name)}",
            f"{data_set_title(name)}, all splits. Leukoscope",
        )
    with right:
        samples = data[name].samples
        images = read_members(DATA_SETS[name].archive, samples.values())
        if not images:
            st.info("The images of this set are not on this machine.", icon=":material/hide_image:")
            return
        with st.grid("auto", min_column_width=110):
            for label, file in samples.items():
                if file in images:
                    title = label_name(label)
                    st.image(images[file], caption=title, width="stretch", alt=title)
