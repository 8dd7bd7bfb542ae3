"""From pixels to typed cells and graded fields."""
