"""Steps from one schema of the case database to the next, each with the number of the one before.

A step is written by hand and never changed once it was used; a test compares what all of them make
with `core.cases.orm`.
"""
