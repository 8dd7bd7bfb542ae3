"""Patients."""

from pages import shared

shared.header("Patients", "")
