"""Trains, exports and measures the models. The only package that imports Keras."""
