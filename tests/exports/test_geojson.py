"""Cells and regions as QuPath writes and reads them."""

import json
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.taxonomy import label_colour
from core.errors import GeoJSONError
from core.exports.geojson import cells_geojson, read_regions
from core.synthetic.examples import synthetic_slides
from tests.cases.made import analysis_of, white
from tests.images import read_image

QUPATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "4a1b7a35-5b41-4f60-9b8e-0e1f5f2e8d11",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]],
                    [[40, 40], [60, 40], [60, 60], [40, 60], [40, 40]],
                ],
            },
            "properties": {
                "objectType": "annotation",
                "classification": {"name": "Feathered edge", "color": [200, 0, 0]},
            },
        },
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [1, 2]},
            "properties": {"objectType": "annotation"},
        },
    ],
}


@pytest.fixture
def field():
    name, data = synthetic_slides()[0]
    return analysis_of(
        read_image(data, name), white(x=200), white("monocyte", 0.4, "uncertain", x=300)
    )


def test_a_region_of_qupath_holds_what_is_in_its_outline_and_not_in_its_hole():
    (region,) = read_regions(json.dumps(QUPATH).encode())
    assert region.name == "Feathered edge"
    x = np.array([10.0, 50.0, 99.0, 101.0, 50.0])
    y = np.array([10.0, 50.0, 99.0, 50.0, -1.0])
    assert region.holds(x, y).tolist() == [True, False, True, False, False]


def test_cells_are_detections_with_their_type_and_come_back_as_they_were(field):
    collection = json.loads(cells_geojson(field))
    first, second = collection["features"]
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["classification"]["name"] == "Neutrophil"
    colour = "#{:02x}{:02x}{:02x}".format(*first["properties"]["classification"]["color"])
    assert colour.upper() == label_colour("neutrophil").upper()
    assert second["properties"]["metadata"] == {"status": "uncertain"}
    regions = read_regions(cells_geojson(field))
    assert [region.name for region in regions] == ["Cell 1", "Cell 2"]
    for region, cell in zip(regions, field.cells, strict=True):
        (ring,) = region.rings
        assert tuple(ring.min(axis=0)) == (cell.box.x, cell.box.y)
        assert region.cells(field.cells) == (cell,)
        assert all((a != b).any() for a, b in pairwise(ring))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[" * 100_000,
        b"[1]",
        b"{}",
        b'{"type": "FeatureCollection", "features": 3}',
        b'{"geometry": {"type": "Polygon", "coordinates": 3}}',
        b'{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}',
        b'{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, "a"], [2, 2]]]}}',
        b'{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, NaN], [2, 2]]]}}',
        b'{"geometry": {"type": "MultiPolygon", "coordinates": [3]}}',
    ],
)
def test_what_is_no_region_is_said(data):
    with pytest.raises(GeoJSONError):
        read_regions(data)


@given(
    st.recursive(
        st.none() | st.floats() | st.text(),
        lambda parts: (
            st.lists(parts)
            | st.dictionaries(
                st.sampled_from(["type", "features", "geometry", "coordinates", "properties"]),
                parts,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(found):
    with suppress(GeoJSONError):
        assert read_regions(json.dumps(found).encode())
