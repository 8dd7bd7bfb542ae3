"""The slides of this process, by its settings."""

from functools import lru_cache, partial
from pathlib import Path

from core.settings import Settings, get_settings
from core.slides.example import example_folder
from core.slides.folders import SlideFolders
from core.slides.pyramid import readable_path
from core.slides.tiles import SlideViews

_views: dict[Path, SlideViews] = {}


def get_folders(settings: Settings | None = None) -> SlideFolders:
    """Return the slide folders of the settings; without any, that of the example slide.

    Raises SlideCopyError when the example cannot be written.
    """
    settings = settings or get_settings()
    folders = settings.slide_folders or (example_folder(settings),)
    return _folders(folders, settings.neutral_names)


@lru_cache(maxsize=4)
def _folders(folders: tuple[Path, ...], neutral_names: bool) -> SlideFolders:
    return SlideFolders(folders, neutral_names=neutral_names)


def get_views(settings: Settings | None = None) -> SlideViews:
    """Return the open slides, by the cache folder of the settings."""
    settings = settings or get_settings()
    if settings.slide_cache not in _views:
        locate = partial(readable_path, settings=settings)
        _views.setdefault(settings.slide_cache, SlideViews(locate))
    return _views[settings.slide_cache]
