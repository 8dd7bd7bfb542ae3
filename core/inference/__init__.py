"""From pixels to named cells and graded fields."""
