import zipfile
from collections import Counter

import pytest

from core.datasets.readers import open_set, yolo_boxes
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES, KAGGLE_FOUR, MATURE_FIVE, PBC_EIGHT, STAGES
from core.errors import DataError, DataNotFoundError
from core.settings import get_settings

COUNTS = {
    "pbc": 17_092,
    "kaggle": 12_515,
    "taleqani": 2_926,
    "txl": 1_440,
    "bccd": 364,
    "cellavision": 100,
    "deepapl": 12_082,
    "lisc": 268,
    "pig_fields": 459,
}
LABELS = {
    "pbc": set(PBC_EIGHT),
    "kaggle": set(KAGGLE_FOUR),
    "taleqani": set(STAGES),
    "cellavision": set(MATURE_FIVE),
    "deepapl": set(CELL_TYPES),
    "lisc": set(MATURE_FIVE),
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_every_set_is_read_whole(pack, name, count):
    data = open_set(name)
    assert len(data) == count
    if name in LABELS:
        assert {e.label for e in data.examples} == LABELS[name]
    pixels, example = next(iter(data))
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert example is data.examples[0]


def test_pbc_follows_the_official_split_of_wbcatt(pack):
    data = open_set("pbc")
    described = [e for e in data.of_split("test") if e.attributes]
    assert len(described) == 3_099
    assert len(data.of_split("test")) == 5_141
    assert all(e.attributes[name] in ATTRIBUTES[name] for e in described for name in ATTRIBUTES)


def test_no_group_is_on_both_sides_of_a_split(pack):
    for name in ("kaggle", "taleqani", "deepapl", "pig_fields"):
        splits = {}
        for example in open_set(name).examples:
            splits.setdefault(example.group, set()).add(example.split)
        assert all(len(s) == 1 for s in splits.values()), name


def test_deepapl_has_82_patients_in_five_folds_and_its_finer_classes(pack):
    data = open_set("deepapl")
    assert len({e.group for e in data.examples}) == 82
    assert {e.split for e in data.examples} == set("01234")
    finer = Counter((e.label, e.subtype) for e in data.examples)
    assert finer["immature_granulocyte", "promyelocyte"] == 508
    assert finer["lymphocyte", "variant_lymphocyte"] == 227
    assert finer["blast", None] == 2_699
    assert finer["platelet", "giant_platelet"] == 40
    assert not any("platelet_clump" in e.member for e in data.examples)


def test_a_part_of_the_pig_fields_validates(pack):
    data = open_set("pig_fields")
    validation = len(data.of_split("val"))
    assert 0.15 * len(data) < validation < 0.25 * len(data)
    assert {box.kind for e in data.examples for box in e.boxes} == {"wbc"}


def test_boxes_of_fields_lie_in_their_pictures(pack):
    for name in ("txl", "bccd"):
        data = open_set(name)
        kinds = Counter()
        for example in data.of_split("test")[:20]:
            height, width = data.read(example).shape[:2]
            for box in example.boxes:
                kinds[box.kind] += 1
                assert box.x >= -1
                assert box.y >= -1
                assert box.x + box.width <= width + 1
                assert box.y + box.height <= height + 1
        assert set(kinds) == {"wbc", "rbc", "platelet"}


def test_the_fingerprint_tells_sets_apart_and_stays(pack):
    assert open_set("bccd").fingerprint() == open_set("bccd").fingerprint()
    assert open_set("bccd").fingerprint() != open_set("cellavision").fingerprint()


def test_a_missing_set_says_how_to_get_it(tmp_path):
    settings = get_settings().model_copy(update={"data": tmp_path})
    with pytest.raises(DataNotFoundError, match="data get bccd"):
        open_set("bccd", settings)
    with pytest.raises(DataNotFoundError, match=r"sidhomj/DeepAPL, pack it as deepapl.zip"):
        open_set("deepapl", settings)


def test_a_damaged_set_is_an_error_of_data(tmp_path):
    (tmp_path / "bccd.zip").write_bytes(b"PK no zip")
    settings = get_settings().model_copy(update={"data": tmp_path})
    with pytest.raises(DataError, match="damaged"):
        open_set("bccd", settings)
    with zipfile.ZipFile(tmp_path / "bccd.zip", "w") as archive:
        archive.writestr("readme", "no lists")
    with pytest.raises(DataError, match="damaged"):
        open_set("bccd", settings)


def test_a_set_without_its_list_of_splits_says_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "taleqani_all.zip", "w") as archive:
        archive.writestr("Benign/1.webp", "")
    settings = get_settings().model_copy(update={"data": tmp_path})
    with pytest.raises(DataNotFoundError, match="list of splits"):
        open_set("taleqani", settings)


def test_yolo_lines_become_boxes_in_pixels():
    (box,) = yolo_boxes("1 0.5 0.25 0.2 0.1\n\n", 100, 200)
    assert (box.kind, box.x, box.y, box.width, box.height) == ("rbc", 40, 40, 20, 20)
    for line, reason in (
        ("1 0.5", "unpack"),
        ("1 0.5 half 1 1", "convert"),
        ("-1 0 0 1 1", "class"),
    ):
        with pytest.raises(ValueError, match=reason):
            yolo_boxes(line, 100, 200)
