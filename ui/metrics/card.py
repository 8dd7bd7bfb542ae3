"""The card of a model as a table."""

import streamlit as st

from core.model_card import ModelCard


def show_card(card: ModelCard) -> None:
    """Show the card of a model: task, limits, training data, thresholds."""
    outputs = [*card.labels, *(f"{name} ({len(v)} values)" for name, v in card.attributes.items())]
    st.table(
        {
            "Task": card.task,
            "Version": f"{card.version}, trained on {card.trained_on}",
            "Intended use": card.intended_use,
            "Limits": " ".join(card.limits),
            "Outputs": ", ".join(output.replace("_", " ") for output in outputs),
            "Architecture": card.architecture,
            "Input": f"{card.input_width} × {card.input_height} px",
            "Preprocessing": card.preprocessing,
            "Temperature": f"{card.temperature:.3f}"
            + (
                f", {card.ood_temperature:.3f} for cells unlike the training images"
                if card.ood_temperature
                else ""
            ),
            "Thresholds": ", ".join(
                f"{k.replace('_', ' ')} {v:.3f}" for k, v in card.thresholds.by_name().items()
            ),
            "Training data": "; ".join(card.training_data),
            "Data fingerprint": card.data_fingerprint,
            "Code revision": card.git_revision,
            "File": f"{card.file_bytes / 1e6:.1f} MB, SHA-256 {card.sha256[:16]}…",
            "Licence": card.licence,
        },
        border="horizontal",
        hide_header=True,
        alt="Model card",
    )
