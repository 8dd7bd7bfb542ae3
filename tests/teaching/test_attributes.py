import pytest

from core.errors import AtlasError
from core.teaching.attributes import TABLE, in_words, observed, observed_text, write_table


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
