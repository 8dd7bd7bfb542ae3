"""Which reference cells a visitor sees, and in what order."""

from core.cases.reviews import label_cells
from core.settings import get_settings
from tests.pages.app import open_app
from tests.pages.reviews import bench, cells_of, steps
from ui.components.references import HERE, SYNTHETIC, Reviewed, credits_of, reference_cells


def origins(key, count=6, **which):
    return [c.origin for c in reference_cells(key, count, 64, Reviewed(**which))]


def test_reviewed_cells_come_first_then_public_ones_then_synthetic_ones(
    pack, database, user, sample, monkeypatch
):
    neutrophil, monocyte, *_ = cells_of(database, sample)
    label_cells(database, user, sample, {neutrophil: "monocyte", monocyte: "monocyte"})
    assert origins("monocyte") == [HERE, HERE, *["PBC"] * 4]
    assert origins("monocyte", apart_from=monocyte) == [HERE, *["PBC"] * 5]
    assert origins("promonocyte", 4) == ["DeepAPL"] * 4
    assert origins("plasma_cell") == [*["DeepAPL"] * 4, *[SYNTHETIC] * 2]
    assert "research use only" in credits_of(reference_cells("plasma_cell", 1, 64, None))
    monkeypatch.setenv("LEUKOSCOPE_DATA", str(get_settings().store))
    get_settings.cache_clear()
    assert origins("blast", 3) == [SYNTHETIC] * 3
    assert reference_cells("blast", 3, 64, None, synthetic=False) == []


def test_visitors_without_an_account_see_no_reviewed_cell(database, user, sample, sign_in):
    _, monocyte, *_ = cells_of(database, sample)
    label_cells(database, user, sample, {monocyte: "monocyte"})
    assert HERE not in origins("monocyte")


def test_the_review_compares_with_types_and_their_credit(pack, database, sample):
    app = open_app("review")
    references = bench(app)["images"][f"r{steps(app)[0]['id']}"]
    first = references["rows"][0]
    assert first["name"] == "Monocyte"
    assert first["description"].startswith("The largest white cell")
    assert {origin for _, origin in first["images"]} == {"PBC"}
    assert "PBC: Acevedo et al. 2020" in references["credits"]
