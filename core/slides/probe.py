"""The main program of a process that opens an uploaded slide: `python probe.py PATH`.

What a client sent may crash the library that reads it, or keep it busy. The exit status is 0 for a
slide, 3 for what is none, another for a damaged one. Nothing else is imported, so that it starts at
once.
"""

import resource
import sys

from openslide import OpenSlide

NO_SLIDE = 3
SECONDS = 60
"""Of processor time."""
_BYTES = 4_000_000_000
"""Of memory."""
_SIDE = 256


def main(path: str) -> int:
    """Read the middle and the corners of every level."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    if OpenSlide.detect_format(path) is None:
        return NO_SLIDE
    with OpenSlide(path) as slide:
        width, height = slide.dimensions
        for level, factor in enumerate(slide.level_downsamples):
            right, bottom = (max(0, int(side - _SIDE * factor)) for side in (width, height))
            places = {(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)}
            for place in sorted(places):
                slide.read_region(place, level, (_SIDE, _SIDE))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
