import numpy as np
import pytest

from core.inference.explain import explain_cell


def test_evidence_covers_what_the_network_sees_and_follows_the_type(analyzer):
    from core.inference.cell_classifier import CellRegion
    from core.synthetic.examples import synthetic_slides
    from tests.images import read_image

    name, data = synthetic_slides()[1]
    image = read_image(data, name)
    analysis = analyzer.analyze(image)
    cell = analysis.white_cells()[0][1]
    region = CellRegion(cell.box, analysis.scale.micrometres_per_pixel)
    crop, evidence = explain_cell(image.pixels, region, str(cell.type))
    assert crop.shape[0] == crop.shape[1]
    assert evidence.ndim == 2
    assert evidence.min() >= 0
    assert evidence.max() == pytest.approx(1)
    _, other = explain_cell(image.pixels, region, "blast" if cell.type != "blast" else "monocyte")
    assert not np.array_equal(evidence, other)
