"""The training loop that all models share: stages, schedule, checkpoints, resume, history."""

import csv
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from core.training.networks.mobilenet import freeze_below

_RISE_STEPS, _FALL_SHARE = 50, 0.25
"""Steps in which the learning rate of a stage by the clock rises, and share in which it falls."""
_CLOCK_MOMENTUM = 0.99
"""Of the averaged weights of a stage by the clock, whose number of steps nobody knows: at 0.995
the average after 150 steps was half the start and named no blasts."""
HISTORY_FIRST = ("epoch", "phase", "loss", "val_loss")
HISTORY_LAST = ("learning_rate", "seconds")
"""Columns of `history.csv` before and after the accuracies, which differ by model. `phase` is the
stage."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of training: which layers learn, at what input size and learning rate."""

    name: str
    epochs: int
    learning_rate: float
    """Peak of the schedule: a short linear warm-up, then a cosine down to 1 %."""
    first_trained: str | None
    """First trunk layer that learns; None freezes the trunk, "" frees all of it."""
    size: int
    minutes: float | None = None
    """Length by the clock: the schedule follows it on a machine of unknown speed, and `epochs` is
    the most there are."""


def scaled(stages: tuple[Stage, ...], factor: float) -> tuple[Stage, ...]:
    """Return stages with their lengths times a factor, at least one epoch each."""
    return tuple(replace(p, epochs=max(round(p.epochs * factor), 1)) for p in stages)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one training run consists of."""

    stages: tuple[Stage, ...]
    batches: Callable[[Stage], Any]
    """Makes the training data (a Keras PyDataset) of a stage."""
    validation: Callable[[Stage], Any]
    """Makes the validation data of a stage."""
    compile_arguments: Mapping[str, Any]
    """Loss and metrics for `Model.compile`."""
    patience: int = 8
    """Epochs without a better validation loss before a stage stops."""
    averaged: bool = True
    """Whether a stage ends with the average of its last weights, which `each_epoch` needs."""
    each_epoch: Callable[[Any, int], None] | None = None
    """Called after each epoch with the network, its averaged weights in it, and the number of the
    epoch in the run."""


def _history_writer(path: Path, stage: str) -> Any:
    import keras

    class HistoryWriter(keras.callbacks.Callback):
        """Append a row an epoch, so that a stopped run keeps what it had."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            del epoch, logs
            self.started = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            del epoch  # counts from the start of the stage; the file counts the whole run
            values = dict(logs or {})
            # The losses of single outputs are parts of `loss`; only accuracies say more.
            metrics = sorted(k for k in values if k.endswith("accuracy"))
            columns = [*HISTORY_FIRST, *metrics, *HISTORY_LAST]
            row = values | {
                "epoch": len(_rows(path)) + 1,
                "phase": stage,
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": round(time.monotonic() - self.started, 1),
            }
            is_new = not path.exists()
            with path.open("a", newline="") as stream:
                writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore")
                if is_new:
                    writer.writeheader()
                writer.writerow(
                    {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
                )

    return HistoryWriter()


def _rows(history: Path) -> pd.DataFrame:
    """Return the epochs so far; none before the first."""
    columns = [*HISTORY_FIRST, *HISTORY_LAST]
    return pd.read_csv(history) if history.exists() else pd.DataFrame(columns=columns)


def _clock(stage: Stage, history: Path) -> Any:
    """Return a callback that sets the learning rate by the clock and stops when time is over.

    A short warm-up by steps, then the peak, then a straight fall to 1 % over the last quarter:
    such a schedule loses nothing when the machine is slow for a while (Hägele et al. 2024,
    NeurIPS). The seconds that the stage took before the run was resumed count.
    """
    import keras

    rows, seconds = _rows(history), 60 * (stage.minutes or 0)
    spent = float(rows.loc[rows["phase"] == stage.name, "seconds"].sum())

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            del logs
            self.started = time.monotonic() - spent
            self.steps = 0

        def _share(self) -> float:
            return (time.monotonic() - self.started) / seconds

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            self.steps += 1
            fall = min(max((1 - self._share()) / _FALL_SHARE, 0.01), 1.0)
            rise = min(self.steps / _RISE_STEPS, 1.0)
            self.model.optimizer.learning_rate.assign(stage.learning_rate * min(fall, rise))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            if self._share() >= 1:
                self.model.stop_training = True

    return Clock()


def _averages(history: Path, each_epoch: Callable[[Any, int], None]) -> Any:
    """Return a callback that hands out the network with its averaged weights after each epoch."""
    import keras

    class Averages(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            del epoch, logs
            optimizer = self.model.optimizer
            kept = [w.numpy() for w in self.model.trainable_variables]
            averages = optimizer._model_variables_moving_average  # noqa: SLF001 - no public name
            for variable, average in zip(self.model.trainable_variables, averages, strict=True):
                variable.assign(average)
            each_epoch(self.model, len(_rows(history)))
            for variable, value in zip(self.model.trainable_variables, kept, strict=True):
                variable.assign(value)

    return Averages()


def _optimizer(stage: Stage, steps: int, *, averaged: bool) -> Any:
    import keras

    rate: Any = stage.learning_rate
    momentum = _CLOCK_MOMENTUM
    if stage.minutes is None:
        warmup = min(200, max(steps * stage.epochs // 10, 1))
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=stage.learning_rate * 0.02,
            decay_steps=max(steps * stage.epochs - warmup, 1),
            alpha=0.01,
            warmup_target=stage.learning_rate,
            warmup_steps=warmup,
        )
        # The stage ends with the average over about its last twentieth. A longer average would
        # still hold much of the untrained start in a short stage.
        momentum = max(1 - 20 / (steps * stage.epochs), 0.5)
    return keras.optimizers.AdamW(
        rate, weight_decay=1e-4, clipnorm=10.0, use_ema=averaged, ema_momentum=momentum
    )


def fit(model: Any, plan: Plan, run: Path, *, verbose: int | None = None) -> None:
    """Train a model through all stages of a plan, resuming where an earlier call stopped.

    `run` holds `state.json` (finished stages), `weights.weights.h5` (after the last finished
    stage), `backup/` (every epoch of the current stage) and `history.csv`. On a terminal a bar
    shows the progress (`verbose` 1), elsewhere a line an epoch (2).
    """
    import keras

    if verbose is None:
        verbose = 1 if sys.stdout.isatty() else 2
    run.mkdir(parents=True, exist_ok=True)
    state_path, weights_path = run / "state.json", run / "weights.weights.h5"
    history_path = run / "history.csv"
    finished: list[str] = json.loads(state_path.read_text()) if state_path.exists() else []
    if finished:
        model.load_weights(weights_path)
    for stage in plan.stages:
        if stage.name in finished:
            continue
        data = plan.batches(stage)
        freeze_below(model, stage.first_trained)
        model.compile(
            optimizer=_optimizer(stage, len(data), averaged=plan.averaged),
            jit_compile=False,
            **plan.compile_arguments,
        )
        # Keras keeps the epoch that a restored stage began at for the next call of fit.
        model._initial_epoch = 0  # noqa: SLF001
        backup = run / "backup" / stage.name
        callbacks = [
            *([] if stage.minutes is None else [_clock(stage, history_path)]),
            _history_writer(history_path, stage.name),
            *([] if plan.each_epoch is None else [_averages(history_path, plan.each_epoch)]),
            keras.callbacks.EarlyStopping("val_loss", patience=plan.patience),
            keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=True),
        ]
        model.fit(
            data,
            epochs=stage.epochs,
            validation_data=plan.validation(stage),
            callbacks=callbacks,
            verbose=verbose,
        )
        model.save_weights(weights_path)
        finished.append(stage.name)
        state_path.write_text(json.dumps(finished))
    plot_history(history_path, run / "history.png")


def seconds_of(run: Path) -> float:
    """Return the seconds that all epochs of a run took, those before a resumption too."""
    return float(_rows(run / "history.csv")["seconds"].sum())


def plot_history(history: Path, image: Path) -> None:
    """Draw loss and validation loss over epochs to a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    _rows(history).plot(x="epoch", y=["loss", "val_loss"], title=history.parent.name, ax=axes)
    figure.savefig(image, dpi=120)
