import pytest

from core.errors import AtlasError
from core.teaching.atlas import get_atlas
from core.teaching.attributes import (
    TABLE,
    explained,
    in_words,
    observed,
    observed_text,
    write_table,
)


@pytest.mark.parametrize(
    ("attribute", "values", "words"),
    [
        ("nucleus_shape", ["unsegmented-indented"], "indented"),
        ("nucleus_shape", ["segmented-bilobed", "irregular"], "two lobes or irregular"),
        (
            "cytoplasm_colour",
            ["blue", "light blue", "purple blue"],
            "blue, light blue or purple blue",
        ),
        ("cytoplasm_vacuole", ["no", "yes"], "none, sometimes present"),
    ],
)
def test_values_are_named_in_words(attribute, values, words):
    assert in_words(attribute, values) == words


def test_shares_are_of_all_labelled_cells_and_rare_values_left_out():
    vacuoles = observed()["monocyte"]["cytoplasm_vacuole"]
    assert vacuoles.total() == 1420
    assert observed_text(vacuoles, "cytoplasm_vacuole") == "54 % none, 46 % present"
    assert (
        observed_text(observed()["band"]["cytoplasm_vacuole"], "cytoplasm_vacuole").count("%") < 3
    )


def test_the_shipped_table_is_what_the_command_counts(pack, tmp_path):
    write_table(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_bytes() == TABLE.read_bytes()


def test_a_missing_table_says_how_to_make_it(tmp_path):
    with pytest.raises(AtlasError, match="Count it again"):
        observed(tmp_path / "table.csv")


def test_every_value_is_explained_by_a_drawing_that_shows_it():
    entries = get_atlas().entries
    for name, attribute in explained().items():
        for value, explanation in attribute.values.items():
            key, seed = explanation.drawing
            assert value in entries[key].attributes[name], (name, value)
            assert seed > 0


def test_missing_texts_say_what_to_restore(tmp_path):
    damaged = tmp_path / "attributes.toml"
    for text in ("", "[cell_size]\nabout = 'x'", "no toml"):
        damaged.write_text(text)
        explained.cache_clear()
        with pytest.raises(AtlasError, match=r"Restore assets/atlas/attributes\.toml"):
            explained(damaged)
