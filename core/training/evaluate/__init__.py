"""Measures the models on their test sets."""
