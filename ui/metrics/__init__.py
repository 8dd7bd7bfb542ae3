"""Parts of the page Model metrics."""
