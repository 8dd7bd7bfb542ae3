import pandas as pd

from core.settings import get_settings
from core.teaching.confusions import model_confusions


def test_confusions_count_each_test_cell_once():
    table = pd.read_csv(get_settings().models / "wbc" / "predictions.csv.gz")
    found = model_confusions()
    blasts = table[(table["truth"] == "blast") & (table["set"] == "deepapl_fold")]
    likeliest = blasts.filter(like="p_").idxmax(axis=1).str.removeprefix("p_")
    expected = likeliest[likeliest != "blast"].value_counts().to_dict()
    assert found["blast"].cells == len(blasts)
    assert dict(found["blast"].others) == expected
    for truth, confusions in found.items():
        counts = [cells for _, cells in confusions.others]
        assert counts == sorted(counts, reverse=True)
        assert truth not in dict(confusions.others)
