"""Synthetic fields, cells and slides with their exact truth."""
