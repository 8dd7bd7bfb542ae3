"""Parts of the page ALL stage."""
