"""Corruptions, quality control and adaptation are shown as they were measured."""

import pytest

from core.charts.robustness import corruptions_figure
from core.evaluation.metrics import proportion
from core.evaluation.report import load_report
from core.evaluation.schema import (
    BeforeAfter,
    CamFigures,
    FieldsFound,
    NucleiFound,
    QualityControlFigures,
    RejectionFigures,
    SmearFigures,
    SyntheticFields,
    SyntheticRow,
    UnseenFigures,
)
from core.evaluation.tables import (
    adaptation_sentence,
    cam_sentence,
    corruptions_table,
    ood_table,
    quality_control_table,
    synthetic_fields_table,
    unseen_table,
)


@pytest.fixture(scope="module")
def wbc():
    return load_report("wbc").metrics


@pytest.mark.parametrize("model", ["wbc", "all_stage"])
def test_every_corruption_has_its_row_and_its_bar(model):
    measured = load_report(model).metrics.corruptions
    assert len(corruptions_table(measured)) == len(measured.rows) + 1
    (bar,) = corruptions_figure(measured).data
    drawn = dict(zip(bar.y, bar.x, strict=True))
    for row in measured.rows:
        lost = 100 * (measured.unchanged.accuracy.value - row.accuracy.value)
        assert drawn[row.corruption] == pytest.approx(lost, abs=1e-6)
    assert list(bar.x) == sorted(bar.x)


def test_cells_out_of_distribution_are_shown_by_set_and_by_corruption(wbc):
    table = ood_table(wbc.out_of_distribution, {"cellavision": "Another source"})
    shares = dict(zip(table["Cells"], table["Out of distribution"], strict=True))
    assert len(shares) == len(wbc.out_of_distribution)
    away = wbc.out_of_distribution["cellavision"].value
    assert shares["Another source"].startswith(f"{100 * away:.1f} %")
    assert away > wbc.out_of_distribution["pbc_test"].value
    corrupted = corruptions_table(wbc.corruptions).set_index("Corruption")
    row = wbc.corruptions.rows[0]
    shown = corrupted.loc[row.corruption, "Out of distribution"]
    assert shown == 100 * row.out_of_distribution.value


def test_the_table_of_quality_control_names_every_set_and_kind():
    measured = QualityControlFigures(
        smears=SmearFigures(
            n=9, rejected=proportion(1, 9), by_set={"cellavision": proportion(1, 4)}
        ),
        others={"Noise": RejectionFigures(n=5, rejected=proportion(5, 5), auroc=1.0)},
        auroc=1.0,
    )
    table = quality_control_table(measured, {"cellavision": "Another source"})
    assert table["Images"].tolist() == ["Smears of all sets", "… Another source", "Noise"]
    assert table["Rejected"].str.startswith(("11.1 %", "25.0 %", "100.0 %")).all()


def test_adaptation_is_told_with_both_figures(wbc):
    error = BeforeAfter(before=0.312, after=0.087)
    sentence = adaptation_sentence(wbc.adaptation.model_copy(update={"ece": error}))
    assert "8.7 %, 31.2 % before" in sentence
    for share in (wbc.adaptation.before, wbc.adaptation.after):
        assert f"{100 * share.value:.1f} %" in sentence


def test_unseen_images_keep_their_figures_and_numbers():
    row = SyntheticRow(
        corruption="Unchanged",
        recall=proportion(9, 9),
        precision=proportion(9, 10),
        rbc_count_error=0.034,
    )
    unseen = UnseenFigures(
        kaggle_test_simple=FieldsFound(n=71, found=proportion(70, 71)),
        taleqani=NucleiFound(
            n=30, nuclei=1200, recall=proportion(9, 10), precision=proportion(8, 10)
        ),
        synthetic=SyntheticFields(n=4, rows=[row]),
    )
    table = unseen_table(unseen)
    assert table["Result"].str.startswith(("98.6 %", "90.0 %", "80.0 %")).all()
    assert table["Measured"].str.contains("1,200").sum() == 1
    shown = synthetic_fields_table(unseen.synthetic).iloc[0]
    assert shown["RBC count error"] == "3.4 %"
    assert shown["Boxes on white cells"].startswith("90.0 %")


def test_the_activation_map_stands_beside_the_area_of_the_cells():
    sentence = cam_sentence(CamFigures(n=244, without_cells=0, inside=0.3, area=0.2))
    assert "30.0 %" in sentence
    assert "20.0 %" in sentence
    assert "1.50" in sentence
