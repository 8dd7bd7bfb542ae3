"""Settings."""

from pages import shared

shared.header("Settings", "")
