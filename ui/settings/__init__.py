"""Parts of the page Settings."""
