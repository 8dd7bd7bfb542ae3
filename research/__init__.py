"""Comparisons and ablations on small protocols. May import core; nothing imports it."""
