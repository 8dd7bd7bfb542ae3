from core.settings import get_settings
from core.teaching.cell_map import get_map
from tests.pages.app import checked, go_to, open_app, texts

PAGE = "attributes"


def links(app):
    return [element.proto.label for element in app.get("page_link")]


def test_an_attribute_is_explained_by_its_values_and_their_shares():
    app = open_app(PAGE)
    assert "Nucleus" in [s.value for s in app.header]
    assert "**Two lobes**" in texts(app)
    assert "10,298 cells of healthy donors" in texts(app)
    app.pills(key="explorer_attribute").set_value("granule_type")
    checked(app.run())
    assert app.query_params["attribute"] in ("granule_type", ["granule_type"])
    assert "**Coarse**" in texts(app)
    assert "**Two lobes**" not in texts(app)


def test_cells_are_found_by_a_value_and_opened(pack):
    app = open_app(PAGE, view="map", value="granule_type:coarse")
    assert "basophil" in texts(app)
    assert set(links(app)) <= {"Basophil"}
    cell = next(c for c in get_map().cells if c.type == "monocyte")
    go_to(app, PAGE, view="map", image=cell.name)
    assert f"**Monocyte** · {cell.name}" in texts(app)
    assert {"Read about the monocyte", "Explain this cell"} <= set(links(app))
    app.multiselect(key="explorer_types").set_value(["lymphocyte"])
    checked(app.run())
    assert "No cell of the map" in app.info[0].value  # with coarse granules


def test_without_the_set_the_map_says_names_and_attributes(tmp_path, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_DATA", str(tmp_path))
    get_settings.cache_clear()
    cell = next(c for c in get_map().cells if c.type == "eosinophil")
    app = open_app(PAGE, view="map", image=cell.name)
    assert len(app.dataframe[0].value) == 24
    assert f"**Eosinophil** · {cell.name}" in texts(app)
    assert "Explain this cell" not in links(app)
    assert "Synthetic drawings, 24 µm wide." in texts(go_to(app, PAGE, view="values"))
