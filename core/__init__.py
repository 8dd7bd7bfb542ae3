"""The computing half of Leukoscope: imaging, inference, statistics, reports, learning.

Pages, the API and the command line enter by few doors: `core.imaging.read.read_images` makes a
picture of bytes, `core.inference.pipeline.get_analyzer` answers for it, `core.charts` and
`core.exports` draw and write what was answered. This module imports nothing, so that
`python -m core --help` is quick.
"""
