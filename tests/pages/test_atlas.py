from core.errors import DataError
from core.settings import get_settings
from core.teaching.atlas import get_atlas
from tests.pages.app import button, checked, go_to, open_app, texts

ATLAS = "atlas"


def links(app):
    return [element.proto.label for element in app.get("page_link")]


def test_the_first_screen_leads_to_every_entry():
    app = open_app(ATLAS)
    assert {entry.name for entry in get_atlas().entries.values()} <= set(links(app))
    assert app.title[0].value == "Atlas"
    assert "Maturation of the granulocytes" in [s.value for s in app.header]


def test_an_address_opens_an_entry_with_its_neighbours_features_and_sources():
    app = open_app(ATLAS, cell="monocyte")
    entry = get_atlas().entries["monocyte"]
    assert app.title[0].value == "Monocyte"
    assert {"Basophil", "All types", "Promonocyte"} <= set(links(app))
    assert "Compare with variant lymphocyte" in links(app)
    said = texts(app)
    for part in (entry.text, entry.raised[0], entry.lowered[0], "Goasguen"):
        assert part in said
    assert "of this type" in said  # what the model confuses it with
    heads = [s.value for s in app.header]
    for head in ("Feature by feature", "Look-alikes", "Raised in", "Lowered in", "Sources"):
        assert head in heads
    tables = [table.value.to_string() for table in app.table]
    assert any("2-8 % of leukocytes" in table for table in tables)
    assert any("54 % none, 46 % present" in table for table in tables)


def test_an_unknown_entry_is_said_and_the_grid_shown():
    app = open_app(ATLAS, cell="dragon")
    assert "no such entry" in app.warning[0].value
    assert "Blast" in links(app)


def test_two_entries_side_by_side_and_another_choice():
    app = open_app(ATLAS, cell="monocyte", **{"with": "variant_lymphocyte"})
    assert app.title[0].value == "Monocyte or variant lymphocyte?"
    assert any("ground glass" in info.value for info in app.info)
    app.selectbox[1].select(get_atlas().entries["band"])
    checked(app.run())
    assert app.query_params["with"] in ("band", ["band"])
    assert app.title[0].value == "Monocyte or band neutrophil?"


def test_real_cells_are_shown_with_credit_and_their_absence_for_types_without_any(pack):
    app = open_app(ATLAS, cell="eosinophil")
    assert texts(app).count("PBC\n") == 6
    assert "CC BY 4.0" in texts(app)
    assert "research use only" in texts(go_to(app, ATLAS, cell="blast"))
    assert "No public set here has cells" in texts(go_to(app, ATLAS, cell="platelet_clump"))


def test_without_the_set_a_few_real_cells_can_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_DATA", str(tmp_path))
    get_settings.cache_clear()
    asked = []

    def fetch(name, *, progress):
        asked.append(name)
        progress(0.5, "15 of 30 cells")
        raise DataError("The set cannot be reached.")

    monkeypatch.setattr("ui.components.references.fetch_cells", fetch)
    app = open_app(ATLAS, cell="blast")
    assert "No explicit licence" in texts(app)
    button(app, "Get cells of DeepAPL, about 1 MB").click()
    checked(app.run())
    assert asked == ["deepapl"]
    assert "The set cannot be reached" in app.error[0].value


def test_entries_of_every_kind_open():
    app = open_app(ATLAS)
    for key in ("band", "Benign", "platelet_clump", "discocyte", "rouleaux"):
        go_to(app, ATLAS, cell=key)
        assert app.title[0].value == get_atlas().entries[key].name
        assert not app.error
