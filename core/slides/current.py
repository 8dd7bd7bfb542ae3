"""The slides of this process, by its settings."""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from core.errors import SlideNotFoundError
from core.settings import Settings, get_settings
from core.slides.example import example_folder
from core.slides.folders import SlideFile, SlideFolders
from core.slides.pyramid import copy_of, readable_path
from core.slides.tiles import SlideViews
from core.slides.uploads import SlideUploads

_views: dict[Path, SlideViews] = {}


@dataclass(frozen=True, slots=True)
class VisibleSlides:
    """The slides that a user may look at: those of the server's folders, and own uploads."""

    folders: SlideFolders
    uploaded: SlideFolders | None
    """None for nobody in particular."""

    def own(self) -> dict[str, SlideFile]:
        """Return the user's uploads by id, as they are now."""
        return {} if self.uploaded is None else self.uploaded.slides(0)

    def slides(self) -> dict[str, SlideFile]:
        """Return all slides by id, uploads first."""
        return self.own() | self.folders.slides()

    def get(self, slide_id: str) -> SlideFile:
        """Return a slide. Raises SlideNotFoundError."""
        if self.uploaded is not None:
            with suppress(SlideNotFoundError):
                return self.uploaded.get(slide_id)
        return self.folders.get(slide_id)


def get_folders(settings: Settings | None = None, owner: str | None = None) -> VisibleSlides:
    """Return the slides of the settings' folders; without any, that of the example slide.

    With an owner, the slides that this user uploaded are among them. Raises SlideCopyError when the
    example cannot be written.
    """
    settings = settings or get_settings()
    folders = settings.slide_folders or (example_folder(settings),)
    own = None if owner is None else SlideUploads(owner, settings).folder
    return VisibleSlides(
        _folders(folders, settings.neutral_names),
        None if own is None else _folders((own,), settings.neutral_names, of_user=True),
    )


@lru_cache(maxsize=256)
def _folders(
    folders: tuple[Path, ...], neutral_names: bool, *, of_user: bool = False
) -> SlideFolders:
    return SlideFolders(folders, neutral_names=neutral_names, file_names=of_user)


def get_views(settings: Settings | None = None) -> SlideViews:
    """Return the open slides, by the cache folder of the settings."""
    settings = settings or get_settings()
    if settings.slide_cache not in _views:
        locate = partial(readable_path, settings=settings)
        _views.setdefault(settings.slide_cache, SlideViews(locate))
    return _views[settings.slide_cache]


def delete_slide(slide: SlideFile, owner: str, settings: Settings | None = None) -> None:
    """Delete a slide that a user uploaded, with its copy. Raises SlideUploadNotFoundError."""
    settings = settings or get_settings()
    SlideUploads(owner, settings).delete(slide.path.parent.name)
    copy_of(slide, settings).unlink(missing_ok=True)
    get_views(settings).forget(slide)
