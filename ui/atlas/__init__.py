"""The page Atlas: a grid of all types, one entry, two entries side by side."""
