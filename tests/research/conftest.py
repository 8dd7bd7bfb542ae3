"""Fixtures that the research shares with the training."""

from tests.training.conftest import settings_with_detector

__all__ = ["settings_with_detector"]
