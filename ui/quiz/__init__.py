"""The page Quiz: practice, whole fields, results, classes, and fields to make."""
