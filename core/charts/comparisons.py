"""Tables and figures of what was compared: networks, laboratories, parts of the fields, numbers.

Read from `models/<name>/comparisons.json`, which `python -m core train` writes with
`--architecture` or `--without`, and `python -m core quantize` with `--compare`.
"""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.charts.metrics import LEGEND_ABOVE, MAIN, SECOND
from core.errors import ModelError
from core.evaluation.tables import percent
from core.model_card import ModelName
from core.settings import Settings, get_settings
from research.architectures import ARCHITECTURES, TITLES

Rows = Mapping[str, Mapping[str, Any]]

LABORATORIES = {"pbc": "PBC", "kaggle": "Kaggle", "cellavision": "CellaVision"}
PARTS = {"bccd": "BCCD", "txl_575": "TXL, 575 px", "txl_360": "TXL, 360 px"}
RECIPES = {
    "nothing": "Everything",
    "looks": "No changed stain, camera, sharpness",
    "tones": "No tones of other cells",
    "cuts": "No cells cut by an edge",
    "cytoplasm": "No drawn cytoplasm",
    "imagenet": "No ImageNet start",
}
NUMBERS = {"float32": "32-bit floats", "int8": "8-bit integers", "float32_smaller": "Floats"}
NOTHING = "nothing"
_THIRD = "#3E8E7E"


def load_comparisons(name: ModelName, settings: Settings | None = None) -> dict[str, Rows]:
    """Return the rows by section; empty when nothing was compared.

    Raises ModelError when the file is damaged.
    """
    path = (settings or get_settings()).models / name / "comparisons.json"
    try:
        sections: dict[str, Rows] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The comparisons of the model {name} are damaged. Make them again with "
            f"`python -m core train {name} --without …`."
        ) from error
    return sections


def architectures_table(rows: Rows) -> pd.DataFrame:
    """Return a row a network: accuracy and macro F1 at home and elsewhere, size and speed."""
    return pd.DataFrame(
        {
            "Network": TITLES[name],
            "Start": rows[name]["start"],
            "PBC accuracy": percent(rows[name]["sets"]["pbc"]["accuracy"]),
            "PBC macro F1": percent(rows[name]["sets"]["pbc"]["macro_f1"]),
            "CellaVision": percent(rows[name]["sets"]["cellavision"]["accuracy"]),
            "Weights, M": rows[name]["parameters"] / 1e6,
            "File, MB": rows[name]["file_bytes"] / 1e6,
            "ms": rows[name]["milliseconds"],
            "Training, min": rows[name]["training_seconds"] / 60,
        }
        for name in ARCHITECTURES
        if name in rows
    )


def laboratories_table(rows: Rows) -> pd.DataFrame:
    """Return a row a training: what it learnt from, its accuracy and ECE on each laboratory.

    A star marks a laboratory that the training did not see.
    """
    return pd.DataFrame(
        {
            "Trained on": " and ".join(LABORATORIES[key] for key in row["trained_on"]),
            **{
                LABORATORIES[key]: f"{percent(own['accuracy'])}, ECE {100 * own['ece']:.0f} %"
                + ("" if key in row["trained_on"] else " *")
                for key, own in row["sets"].items()
            },
        }
        for row in _in_order(rows, LABORATORIES).values()
    )


def recipe_table(rows: Rows) -> pd.DataFrame:
    """Return a row a training: the part of the recipe left out, accuracy and ECE on each set."""
    return pd.DataFrame(
        {
            "Recipe": RECIPES[without],
            **{
                LABORATORIES[key]: f"{percent(own['accuracy'])}, ECE {100 * own['ece']:.0f} %"
                for key, own in row["sets"].items()
            },
        }
        for without, row in _in_order(rows, RECIPES).items()
    )


def laboratories_figure(rows: Rows) -> go.Figure:
    """Draw the accuracy on each laboratory, a bar a training; hatched where it was left out."""
    figure = go.Figure()
    ordered = _in_order(rows, LABORATORIES).values()
    for row, colour in zip(ordered, (MAIN, SECOND, _THIRD), strict=False):
        shares = [row["sets"][key]["accuracy"] for key in LABORATORIES]
        values = [100 * share["value"] for share in shares]
        figure.add_bar(
            x=list(LABORATORIES.values()),
            y=values,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * s["high"] - v for s, v in zip(shares, values, strict=True)],
                "arrayminus": [v - 100 * s["low"] for s, v in zip(shares, values, strict=True)],
                "thickness": 1.5,
                "width": 4,
            },
            marker={
                "color": colour,
                "pattern": {
                    "shape": ["" if key in row["trained_on"] else "/" for key in LABORATORIES]
                },
            },
            name="Trained on " + " and ".join(LABORATORIES[key] for key in row["trained_on"]),
            hovertemplate="%{x}: %{y:.1f} %<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        height=380,
        margin={"l": 0, "r": 10, "t": 40, "b": 0},
        legend=LEGEND_ABOVE,
        dragmode=False,
    )
    figure.update_yaxes(title="Accuracy, %", range=[0, 101], zeroline=False, automargin=True)
    return figure


def parts_table(rows: Rows) -> pd.DataFrame:
    """Return a row a part of the fields: mAP50 and white-cell recall of each training on it.

    A star marks the training that did not see the part.
    """
    titles = {NOTHING: "With all parts"} | {key: f"Without {part}" for key, part in PARTS.items()}
    return pd.DataFrame(
        {
            "Test fields": title,
            **{
                titles[without]: (
                    f"{own['map50']:.3f}, {percent(own['wbc_recall'])}"
                    + (" *" if without == part else "")
                )
                for without, row in _in_order(rows, titles).items()
                for own in (row["sets"][part],)
            },
        }
        for part, title in PARTS.items()
    )


def numbers_table(rows: Rows) -> pd.DataFrame:
    """Return a row a file of one model: its figures on the test sets, time and size.

    `Time` is that of a look as a share of the one in floats at full size.
    """
    ordered = _in_order(rows, NUMBERS)
    full = rows["float32"]
    return pd.DataFrame(
        {
            "Numbers": NUMBERS[key]
            + ("" if row["side"] == full["side"] else f", {row['side']} px"),
            **_numbers_figures(row["sets"]),
            "ms a look": row["milliseconds"],
            "Time": row["milliseconds"] / full["milliseconds"],
            "File, MB": row["file_bytes"] / 1e6,
        }
        for key, row in ordered.items()
    )


def _numbers_figures(sets: Mapping[str, Any]) -> dict[str, str]:
    if "wbcatt_test" in sets:
        five, eight = sets["wbcatt_test"], sets["pbc_test"]
        return {
            "WBCAtt accuracy": percent(five["accuracy"]),
            "PBC accuracy": percent(eight["accuracy"]),
            "PBC ECE": f"{100 * eight['ece']:.1f} %",
            "PBC classified": percent(eight["classified"]),
            "Right of these": percent(eight["classified_right"]),
        }
    if "txl_test" in sets:
        raw, mended = sets["txl_test"], sets["txl_test_corrected"]
        return {
            "mAP50": f"{raw['map50']:.3f}",
            "mAP50-95": f"{raw['map50_95']:.3f}",
            "mAP50, mended": f"{mended['map50']:.3f}",
            "mAP50-95, mended": f"{mended['map50_95']:.3f}",
            "White cell count exact": percent(mended["wbc_count_exact"]),
        }
    own = sets["taleqani"]
    return {
        "Same class": percent(own["same_class"]),
        "Largest change of a probability": f"{100 * own['largest_change']:.1f} points",
    }


def _in_order(rows: Rows, order: Mapping[str, str]) -> Rows:
    return {key: rows[key] for key in order if key in rows}


def run_titles(sections: Mapping[str, Rows]) -> dict[tuple[str, str], str]:
    """Return the runs of cell classifiers by section and key, as pages name them."""
    titles: dict[tuple[str, str], str] = {
        ("architectures", name): TITLES[name]
        for name in ARCHITECTURES
        if name in sections.get("architectures", {})
    }
    for key, row in sections.get("domains", {}).items():
        trained = " and ".join(LABORATORIES[name] for name in row["trained_on"])
        titles["domains", key] = f"MobileNetV2, mature types of {trained}"
    for key in _in_order(sections.get("recipe", {}), RECIPES):
        titles["recipe", key] = f"MobileNetV2, recipe: {RECIPES[key].lower()}"
    return titles


def difference_table(first: Mapping[str, Any], second: Mapping[str, Any]) -> pd.DataFrame:
    """Return two runs side by side on the sets that both were measured on.

    Columns: Figure, First, Second, Difference (second less first, in points).
    """
    rows = []
    for key in [key for key in first["sets"] if key in second["sets"]]:
        one, other = first["sets"][key], second["sets"][key]
        for name, title in (("accuracy", "accuracy"), ("macro_f1", "macro F1")):
            gap = 100 * (other[name]["value"] - one[name]["value"])
            rows.append((LABORATORIES[key], title, percent(one[name]), percent(other[name]), gap))
        texts = [f"{100 * own['ece']:.1f} %" for own in (one, other)]
        rows.append((LABORATORIES[key], "ECE", *texts, 100 * (other["ece"] - one["ece"])))
    return pd.DataFrame(
        {
            "Figure": f"{laboratory}, {title}",
            "First": one,
            "Second": other,
            "Difference": f"{gap:+.1f}",
        }
        for laboratory, title, one, other, gap in rows
    )
