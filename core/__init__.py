"""Everything that computes in Leukoscope: imaging, inference, statistics, reports, training.

Pages, the API and the command line share few entry points: `core.imaging.read.read_images` reads
images from bytes, `core.inference.pipeline.get_analyzer` returns the analyzer, `core.charts` and
`core.exports` draw and write its results. This module imports nothing, so `python -m core --help`
starts fast.
"""
