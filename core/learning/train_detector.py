"""Training of the detector: white cells, red cells and platelets in fields."""

from pathlib import Path

from core.learning.architectures import detector_network, load_imagenet
from core.learning.detection_data import (
    Labelled,
    TrainingFields,
    made_fields,
    real_fields,
    whole_fields,
)
from core.learning.detection_loss import DetectionLoss
from core.learning.fitting import Phase, Plan, fit
from core.settings import Settings
from core.taxonomy import CELL_KINDS

BATCH = 16
PHASES = (
    Phase("heads", 1, 1e-3, None, 256),
    Phase("coarse", 16, 8e-4, "block_3_expand", 256),
    Phase("fine", 16, 5e-4, "block_3_expand", 320),
)


def train(settings: Settings, run: Path, *, epochs: float = 1.0, seed: int = 1) -> None:
    """Train the detector into a run folder; `epochs` scales the length of every phase."""
    real, validation = real_fields(settings)
    made = made_fields(250)
    groups: list[tuple[list[Labelled], float]] = [(real, 0.88), (made, 0.12)]
    steps = max(len(real) * 5 // 4 // BATCH, 1)
    print(f"{len(real)} real and {len(made)} made training fields, "  # noqa: T201
          f"{len(validation)} for validation")
    model = detector_network(len(CELL_KINDS))
    load_imagenet(model, settings)
    fit(
        model,
        Plan(
            phases=tuple(
                Phase(p.name, max(round(p.epochs * epochs), 1), p.learning_rate,
                      p.first_trained, p.size)
                for p in PHASES
            ),
            batches=lambda phase: TrainingFields(
                groups, phase.size, batch=BATCH, steps=steps, seed=seed
            ),
            validation=lambda phase: whole_fields(validation, phase.size, BATCH),
            compile_arguments={"loss": DetectionLoss(len(CELL_KINDS))},
        ),
        run,
    )
