"""Data sets, training, export and evaluation."""
