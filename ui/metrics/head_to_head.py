"""Model metrics: two models or trainings on the same images."""

from collections.abc import Mapping
from io import BytesIO

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.charts.confusion import matrix_difference_figure
from core.errors import ModelError
from core.evaluation.comparisons import Comparisons, load_comparisons
from core.evaluation.paired import Paired, compare
from core.evaluation.report import ClassifierReport, checked_predictions, earlier_runs
from core.evaluation.sets import evaluation_set
from core.evaluation.tables import difference_table, run_titles
from ui.components import shared
from ui.metrics.parts import chart

SHIPPED_TRAINING = ("architectures", "mobilenetv2")
"""The training of the network that ships, on the small protocol."""
MOST_ROWS = 200_000
"""Of an uploaded file."""


def show_head_to_head(report: ClassifierReport) -> None:
    """Compare two models image by image, then two small trainings by their figures."""
    show_models(report)
    try:
        comparisons = load_comparisons(report.card.name)
    except ModelError as error:
        st.info(str(error), icon=":material/hourglass_empty:")
        return
    if len(titles := run_titles(comparisons)) > 1:
        show_trainings(comparisons, titles)


@st.fragment
def show_models(report: ClassifierReport) -> None:
    """Compare the predictions of two models on one set."""
    name = report.card.name
    st.header("Two models, image by image")
    shipped = f"Shipped, version {report.card.version}"
    runs = {shipped: report.predictions}
    runs |= {f"Version {title}": rows for title, rows in earlier_runs(name).items()}
    with st.expander("Add the predictions of another model", icon=":material/upload:"):
        st.markdown(
            "A CSV with the columns `set`, `file`, `truth` and `p_<class>`, as "
            f"`python -m core evaluate {name} --data DIR --predictions FILE.csv.gz` and the tab "
            "*Own images* write it."
        )
        for file in st.file_uploader(
            "Predictions", type=["csv", "gz"], accept_multiple_files=True, key=f"runs_{name}"
        ):
            if (rows := uploaded_run(file)) is not None:
                runs[f"Uploaded: {file.name}"] = rows
    columns = st.columns(3)
    first, second = (
        column.selectbox(label, list(runs), index=index, key=f"pair_{label.lower()}_{name}")
        for column, label, index in zip(
            columns, ("First", "Second"), (min(1, len(runs) - 1), 0), strict=False
        )
    )
    own = set(runs[second]["set"])
    own &= set(runs[first]["set"])
    common = [key for key in dict.fromkeys([*report.sets, *sorted(own)]) if key in own]
    if first == second or not common:
        st.info(
            "Only one model has predictions here: add those of another one above."
            if len(runs) == 1
            else "Choose two models that have predictions of the same set.",
            icon=":material/compare_arrows:",
        )
        return
    key = columns[2].selectbox(
        "Set", common, format_func=lambda k: evaluation_set(k).name, key=f"pair_set_{name}"
    )
    one, other = (runs[run][runs[run]["set"] == key] for run in (first, second))
    labels = [label for label in report.card.labels if label in set(one["truth"])]
    try:
        paired = compare(one, other, labels)
    except ValueError:
        st.info("The two have no image of this set in common.", icon=":material/compare_arrows:")
        return
    show_paired(paired, labels)
    st.header("Difference of the confusion matrices")
    matrices = paired.matrix("first", labels), paired.matrix("second", labels)
    chart(
        matrix_difference_figure(*matrices, dark=st.context.theme.type == "dark"),
        f"metrics_difference_{name}",
        "Confusion matrix of the second model less that of the first",
        f"{evaluation_set(key).name}, {evaluation_set(key).split}, n = {len(paired.cells):,}. "
        f"{second} less {first}. Leukoscope",
        data=difference_cells(*matrices),
        paper=matrix_difference_figure(*matrices, dark=False),
    )
    st.caption(
        "Images in each cell of the matrix: second less first. Orange: more, purple: fewer. On "
        f"the diagonal more is better. {evaluation_set(key).note}"
    )


def uploaded_run(file: UploadedFile) -> pd.DataFrame | None:
    """Return the predictions of an uploaded file; say so and return None when it has none."""
    compression = "gzip" if file.name.endswith(".gz") else None
    try:
        rows = pd.read_csv(BytesIO(file.getvalue()), nrows=MOST_ROWS, compression=compression)
        return checked_predictions(rows)
    except (ValueError, OSError, EOFError) as error:
        st.error(
            f"{shared.plain(file.name)} holds no predictions: {shared.plain(str(error))}.",
            icon=":material/error:",
        )
        return None


def show_paired(paired: Paired, labels: list[str]) -> None:
    """Show accuracies, their difference and McNemar's test."""
    n, gap = len(paired.cells), paired.difference
    limits = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
    p_value = "< 0.001" if paired.p_value < 0.001 else f"{paired.p_value:.3f}"
    shared.metrics(
        {
            "First right": (
                f"{100 * (paired.both_right + paired.first_only) / n:.1f} %",
                None,
                None,
            ),
            "Second right": (
                f"{100 * (paired.both_right + paired.second_only) / n:.1f} %",
                None,
                None,
            ),
            "Difference, points": (f"{100 * gap.value:+.1f}", limits, None),
            "McNemar, p": (p_value, f"{paired.first_only} : {paired.second_only}", None),
        },
        width=150,
    )
    st.caption(
        f"n = {n:,} images of {len(labels)} classes; the largest probability counts. Both right: "
        f"{paired.both_right:,}, only the first: {paired.first_only:,}, only the second: "
        f"{paired.second_only:,}, neither: {paired.neither:,}. Below the difference: 95 % "
        "confidence interval (Bonett and Price). McNemar's exact test asks whether the two err "
        "equally often; below it, the images that only one had right."
    )


def difference_cells(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return a row a cell of the two matrices."""
    return pd.DataFrame(
        {
            "truth": truth,
            "prediction": prediction,
            "first": (one := int(first.loc[truth, prediction])),
            "second": (other := int(second.loc[truth, prediction])),
            "difference": other - one,
        }
        for truth in first.index
        for prediction in first.columns
    )


@st.fragment
def show_trainings(comparisons: Comparisons, titles: Mapping[tuple[str, str], str]) -> None:
    """Show two small trainings side by side with their differences."""
    st.header("Two small trainings")
    runs = sorted(titles, key=lambda run: run != SHIPPED_TRAINING)
    columns = st.columns(2)
    chosen = [
        column.selectbox(
            label, runs, index=index, format_func=titles.__getitem__, key=f"metrics_run_{index}"
        )
        for index, (column, label) in enumerate(zip(columns, ("First", "Second"), strict=True))
    ]
    first, second = (comparisons.runs[run].sets for run in chosen)
    st.caption(
        "Difference: second less first, in points. Networks that tell more types have a harder "
        "task: compare like with like. Their predictions were not kept, so there is no test."
    )
    shared.data_table(
        difference_table(first, second),
        alt="Figures of two trainings and their differences",
    )
