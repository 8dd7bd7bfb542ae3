"""The page of model metrics, on made-up model folders."""

import json
import shutil

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.domain.taxonomy import RESEARCH_NOTICE
from core.evaluation.report import load_report
from core.settings import Settings, get_settings
from tests.charts import comparison_rows
from tests.fake_models import write_models
from tests.pages.app import checked, open_app

CHOICE = "metrics_cell_wbc_cellavision"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(written, tmp_path, monkeypatch):
    copy = shutil.copytree(written, tmp_path / "models")
    monkeypatch.setenv("LEUKOSCOPE_MODELS", str(copy))
    get_settings.cache_clear()
    st.cache_resource.clear()
    yield copy
    get_settings.cache_clear()
    st.cache_resource.clear()


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def show(app: AppTest, part: str) -> AppTest:
    app.segmented_control(key="part").set_value(part)
    return checked(app.run())


def open_set() -> AppTest:
    return open_app("model_metrics", part="One set")


def choose(app: AppTest, model: str) -> AppTest:
    app.segmented_control(key="metrics_model").set_value(model).run()
    assert not app.exception
    return app


def test_a_set_shows_limits_and_caveats_another_laboratory_first(folder):
    app = open_set()
    figures = load_report("wbc", Settings(models=folder)).metrics.sets["cellavision"]
    assert app.selectbox(key="metrics_set_wbc").value == "cellavision"
    assert metrics(app)["Accuracy"] == f"{100 * figures.accuracy.value:.1f} %"
    limits = next(m.delta for m in app.metric if m.label == "Accuracy")
    assert limits == (f"{100 * figures.accuracy.low:.1f}-{100 * figures.accuracy.high:.1f}")
    captions = [c.value for c in app.caption]
    assert captions.count(RESEARCH_NOTICE) == 1
    assert any("n = 100 images" in c and "labels were not checked" in c for c in captions)


def test_each_set_shows_its_own_figures(folder):
    app = open_set()
    app.selectbox(key="metrics_set_wbc").set_value("kaggle_test_simple").run()
    assert not app.exception
    figures = load_report("wbc", Settings(models=folder)).metrics.sets["kaggle_test_simple"]
    assert metrics(app)["No cell found"] == str(sum(figures.unanswered))
    assert any(
        "13 eosinophil, 6 lymphocyte, 4 monocyte, 48 neutrophil" in c.value for c in app.caption
    )


def test_a_cell_of_the_matrix_lists_its_images(folder, pack):
    del pack  # its images are drawn
    app = open_set()
    report = load_report("wbc", Settings(models=folder))
    cell = tuple(app.selectbox(key=CHOICE).options[0].split(" (")[0].lower().split(", called "))
    number = sum(
        (report.scored("cellavision")["truth"] == cell[0])
        & (report.scored("cellavision")["prediction"] == cell[1])
    )
    assert number > 0
    app.selectbox(key=CHOICE).set_value(cell).run()
    assert not app.exception
    assert f"1-{number} of {number} shown" in [c.value for c in app.caption]
    clear = next(b for b in app.button if b.label == "Clear")
    clear.click().run()
    assert not app.exception
    assert app.selectbox(key=CHOICE).value is None
    assert any("Click a cell of the matrix" in i.value for i in app.info)


def test_without_images_the_names_are_listed(folder, tmp_path, monkeypatch):
    del folder
    monkeypatch.setenv("LEUKOSCOPE_DATA", str(tmp_path))
    get_settings.cache_clear()
    app = open_set()
    assert any("not on this machine" in c.value for c in app.caption)
    listed = [frame.value for frame in app.dataframe if "File" in frame.value]
    assert listed
    assert listed[0]["File"].str.startswith("images/").all()


def test_the_threshold_divides_the_images(folder):
    del folder
    app = open_set()
    app.slider(key="metrics_threshold_wbc").set_value(0.0).run()
    assert any("**100** of 100 answered" in m.value for m in app.markdown)
    app.slider(key="metrics_threshold_wbc").set_value(100.0).run()
    assert any("**100** go to a reviewer" in m.value for m in app.markdown)
    assert not app.exception


def test_the_other_models(folder):
    app = choose(open_set(), "all_stage")
    assert app.selectbox(key="metrics_set_all_stage").value == "taleqani_folds"
    assert "Another type" not in metrics(app)
    choose(app, "detector")
    figures = load_report("detector", Settings(models=folder)).metrics.sets["txl_test"]
    assert metrics(app)["mAP50"] == f"{figures.map50:.3f}"
    app.segmented_control(key="metrics_kind").set_value("rbc").run()
    assert not app.exception
    assert any("wrong count of red cells" in s.value for s in app.header)


@pytest.mark.parametrize("missing", ["card.json", "metrics.json", "predictions.csv.gz"])
def test_a_model_without_figures_says_how_to_make_them(folder, missing):
    (folder / "wbc" / missing).unlink()
    app = open_set()
    assert not app.error
    assert len(app.info) == 1
    assert "is missing" in app.info[0].value
    assert "python -m core train wbc" in app.code[0].value
    assert not app.metric
    choose(app, "detector")
    assert "mAP50" in metrics(app)


def test_comparisons_and_data_sets_are_shown_where_they_were_written(folder):
    app = show(open_app("model_metrics"), "Comparisons")
    assert any("not compared" in i.value for i in app.info)
    assert "Data sets" not in [s.value for s in show(app, "Data and training").header]
    sections = {
        "architectures": comparison_rows.architectures(),
        "domains": comparison_rows.domains(),
        "recipe": comparison_rows.recipes(),
        "patients": comparison_rows.patients(),
        "numbers": comparison_rows.numbers(),
    }
    (folder / "wbc" / "comparisons.json").write_text(json.dumps(sections))
    (folder / "detector" / "comparisons.json").write_text(
        json.dumps(
            {"parts": comparison_rows.parts(), "numbers": comparison_rows.detector_numbers()}
        )
    )
    metrics = json.loads((folder / "wbc" / "metrics.json").read_text())
    (folder / "wbc" / "metrics.json").write_text(
        json.dumps(metrics | {"data": comparison_rows.data()})
    )
    st.cache_resource.clear()
    assert "Data sets" in [s.value for s in checked(app.run()).header]
    app.segmented_control(key="metrics_data_cellavision_taleqani").set_value("taleqani").run()
    headings = [s.value for s in show(app, "Comparisons").header]
    for heading in (
        "Floats and 8-bit integers",
        "Other networks",
        "The recipe changed",
    ):
        assert heading in headings
    assert any("eight-type recipe is that of" in c.value for c in app.caption)
    show(app, "Another source")
    table = next(f.value for f in app.dataframe if "Source" in f.value).set_index("Source")
    assert table.loc["Kaggle", "Trained without it, balanced accuracy"].startswith("55.0 %")
    assert table.loc["Kaggle", "Shipped, balanced accuracy"] == "trained on it"
    assert table.loc["LISC"].eq("not measured").all()
    assert any(
        "2 of 5 sources" in c.value and "mean balanced accuracy 59.0 %" in c.value
        for c in app.caption
    )
    assert "Every DeepAPL patient left out" in [s.value for s in app.header]
    assert any("2 patients, 60 cells, 5 folds" in c.value for c in app.caption)
    app.toggle(key="metrics_every_patient").set_value(True).run()
    assert any("not kept" in i.value for i in app.info)
    predictions = pd.read_csv(folder / "wbc" / "predictions.csv.gz")
    rows = predictions[predictions["set"] == "cellavision"]
    patients = [f"lymphocyte/Patient_{k % 4:02}_{k}.webp" for k in range(len(rows))]
    rows.assign(set="deepapl", file=patients).to_csv(
        folder / "wbc" / "patients.csv.gz", index=False
    )
    checked(app.run())
    assert "Every patient" in [s.value for s in app.header]
    assert any(c.value.startswith("4 patients, most blasts on top") for c in app.caption)
    (folder / "wbc" / "patients.csv.gz").write_text("no gzip")
    assert any("damaged" in i.value for i in checked(app.run()).info)
    show(app, "Head to head")
    assert app.selectbox(key="metrics_run_0").value == ("architectures", "mobilenetv2")
    app.selectbox(key="metrics_run_0").set_value(("architectures", "vgg19"))
    app.selectbox(key="metrics_run_1").set_value(("sources", "kaggle")).run()
    assert not app.exception
    compared = next(f.value for f in app.dataframe if "Difference" in f.value)
    assert "+37.0" in set(compared["Difference"])
    choose(app, "detector")
    show(app, "Another source")
    assert any("Without BCCD" in f.value for f in app.dataframe)


def test_damaged_comparisons_leave_the_rest_of_the_page(folder):
    (folder / "wbc" / "comparisons.json").write_text("{")
    app = open_app("model_metrics", part="Comparisons")
    assert any("damaged" in i.value for i in app.info)
    assert "Model card" in [s.value for s in show(app, "Model card").header]


def test_two_models_are_compared_image_by_image(folder):
    app = open_app("model_metrics", part="Head to head")
    assert any("Only one model" in i.value for i in app.info)
    predictions = pd.read_csv(folder / "wbc" / "predictions.csv.gz")
    columns = [c for c in predictions.columns if c.startswith("p_")]
    shuffled = predictions.assign(
        **{c: predictions[columns[-1 - k]] for k, c in enumerate(columns)}
    )
    (folder / "wbc" / "runs").mkdir()
    shuffled.to_csv(folder / "wbc" / "runs" / "1.0.0.csv.gz", index=False)
    (folder / "wbc" / "runs" / "damaged.csv.gz").write_text("no gzip")
    checked(app.run())
    app.selectbox(key="pair_first_wbc").set_value("Version 1.0.0").run()
    assert metrics(app)["McNemar, p"] == "< 0.001"
    assert metrics(app)["Difference, points"].startswith("+")


def test_a_figure_is_exported_with_its_origin(folder):
    del folder
    app = open_set()
    app.button(key="metrics_roc_export").click().run()
    assert not app.exception
    assert any("Press the camera" in c.value for c in app.caption)
