"""The page Attributes: what each attribute means, cells by attribute, the map of cells."""
