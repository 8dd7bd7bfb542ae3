"""What the pages of the section Teach show: the atlas of cells."""
