"""The slides of this process, by its settings, and their counts."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

from core.cases.database import Database, get_database
from core.errors import CaseError, SlideNotFoundError
from core.inference.pipeline import Analyzer, get_analyzer
from core.settings import Settings, get_settings
from core.slides.cluster import analyze_on_cluster
from core.slides.count_store import CountStore
from core.slides.counting import SlideCount
from core.slides.example import example_folder
from core.slides.folders import SlideFile, SlideFolders
from core.slides.pyramid import readable_path, remove_copies
from core.slides.tiles import SlideView, SlideViews
from core.slides.uploads import SlideUploads
from core.slides.worker import TileRunner, analyze_in_process

_MOST_COUNTS = 8
_views: dict[Path, SlideViews] = {}
_counts: dict[tuple[SlideFile, Path], SlideCount] = {}
_opening = Lock()


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

        def locate(slide: SlideFile, plane: int | None) -> Path:
            return readable_path(slide, settings, plane)

        _views.setdefault(settings.slide_cache, SlideViews(locate))
    return _views[settings.slide_cache]


def delete_slide(
    slide: SlideFile,
    owner: str,
    settings: Settings | None = None,
    database: Callable[[], Database] = get_database,
) -> None:
    """Delete a slide that a user uploaded, with its copy and its count.

    The count stays where a sample holds it, and expires where the store cannot be written. Raises
    SlideUploadNotFoundError.
    """
    settings = settings or get_settings()
    SlideUploads(owner, settings).delete(slide.path.parent.name)
    remove_copies(slide, settings)
    get_views(settings).forget(slide)
    with _opening:
        for known in [known for known in _counts if known[0] == slide]:
            _counts.pop(known).abandon()
    with suppress(CaseError):
        CountStore(database(), slide).delete_unless_saved()


def get_count(
    slide: SlideFile,
    view: SlideView,
    database: Callable[[], Database] = get_database,
    analyzer: Callable[[], Analyzer] = get_analyzer,
) -> SlideCount | None:
    """Return the count of a slide, also one of before a restart; None where there is none.

    Raises DamagedSlideError, ModelError.
    """
    with _opening:
        known = _counts.get((slide, view.path))
        if known is not None:
            return known
        with suppress(CaseError):
            store = CountStore(database(), slide)
            if store.exists():
                return _plan(slide, view, store, analyzer)
        return None


def open_count(
    slide: SlideFile,
    view: SlideView,
    database: Callable[[], Database] = get_database,
    analyzer: Callable[[], Analyzer] = get_analyzer,
) -> SlideCount:
    """Return the count of a slide, planned when there is none.

    Without a store the memory keeps it. Raises DamagedSlideError, ModelError.
    """
    with _opening:
        if (slide, view.path) in _counts:
            return _counts[slide, view.path]
        try:
            return _plan(slide, view, CountStore(database(), slide), analyzer)
        except CaseError:
            return _plan(slide, view, None, analyzer)


def _plan(
    slide: SlideFile, view: SlideView, store: CountStore | None, analyzer: Callable[[], Analyzer]
) -> SlideCount:
    loaded = analyzer()
    models = loaded.versions
    if view.planes.number > 1:  # what was found in another plane is not mixed in
        models = {**models, "focal_plane": str(view.planes.middle)}
    idle = [known for known, count in _counts.items() if not count.running]
    for known in idle[: max(0, len(_counts) + 1 - _MOST_COUNTS)]:
        del _counts[known]
    run = TileRunner(view.path.absolute(), slide.name, loaded.fingerprint)
    with_cluster = get_settings().slide_engine == "ray"
    count = SlideCount(
        slide,
        view,
        partial(analyze_in_process, run),
        store,
        models,
        cluster=partial(analyze_on_cluster, run) if with_cluster else None,
    )
    _counts[slide, view.path] = count
    return count
