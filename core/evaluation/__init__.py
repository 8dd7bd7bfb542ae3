"""Figures of merit from truth and predictions, and what was measured of the shipped models."""
