"""The public data sets: their readers, downloads and citations."""
