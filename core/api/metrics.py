"""What Prometheus may ask for: load, and the signals that inputs or models drift.

Of one process and of the API only: pages are not counted.
"""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from core.api.work import Workers
from core.domain.results import CropResult, FailedFile, FieldAnalysis, StageResult

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """Counters of one app, in a registry of their own."""

    def __init__(self, workers: Workers) -> None:
        self._registry = registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        self._seconds = Histogram(
            "leukoscope_request_seconds",
            "Time until the whole answer was sent.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        for name, text, value in (
            ("requests", "Requests that hold a model slot.", lambda: workers.requests),
            ("calls", "Calls that run on the models now.", lambda: workers.running),
        ):
            gauge = Gauge(f"leukoscope_model_{name}", text, registry=registry)
            gauge.set_function(value)
        text = "Images by outcome: answered, rejected by quality control, failed."
        self._images = counter("leukoscope_pictures", text, ("task", "outcome"))
        text = "Classes predicted, by status; the share uncertain is a drift signal."
        self._predictions = counter("leukoscope_predictions", text, ("task", "label", "status"))
        text = "White cells of a stain, light or camera unlike all that the classifier learnt from."
        self._unfamiliar = counter("leukoscope_unfamiliar_cells", text, ("task",))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its template, so that labels stay few."""
        self._seconds.labels(method, route, str(status)).observe(seconds)

    def image(
        self, task: str, outcome: FieldAnalysis | CropResult | StageResult | FailedFile
    ) -> None:
        """Count an image and the classes in it."""
        if isinstance(outcome, FailedFile):
            self._images.labels(task, "failed").inc()
            return
        self._images.labels(task, "refused" if outcome.reject_reason else "answered").inc()
        if isinstance(outcome, FieldAnalysis):
            named = [(cell.type, cell.status) for _, cell in outcome.white_cells()]
            self._unfamiliar.labels(task).inc(outcome.counts.out_of_distribution)
        elif isinstance(outcome, CropResult):
            named = [(outcome.type, outcome.status)]
            self._unfamiliar.labels(task).inc(outcome.in_distribution is False)
        else:
            named = [(outcome.stage, outcome.status)]
        for label, status in named:
            if label is not None:
                self._predictions.labels(task, label, status).inc()

    def text(self) -> bytes:
        """Return all values in Prometheus' text format."""
        return generate_latest(self._registry)
