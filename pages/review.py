"""Review: white cells that wait for a person, the least sure first."""

from pages import shared

shared.header("Review", "White cells that wait for a reviewer, the least sure first.")
