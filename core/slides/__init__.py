"""Slides of the server's folders, to look at: which there are, and their tiles."""
