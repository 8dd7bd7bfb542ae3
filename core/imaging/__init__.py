"""Reading, measuring and drawing on images."""
