"""Stores for tests of learners: the same as those of cases."""

from tests.cases.conftest import database, settings

__all__ = ["database", "settings"]
