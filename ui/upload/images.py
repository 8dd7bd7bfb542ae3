"""An image that a visitor uploaded: its results, and the small copies of it that pages show."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
import streamlit as st

from core.cases.database import get_database
from core.cases.drafts import DraftField
from core.cases.records import NewField
from core.cases.samples import load_image
from core.domain.boxes import Box
from core.domain.results import FieldAnalysis, FieldImage, ImageProperties, Pixels, StageResult
from core.errors import LeukoscopeError
from core.imaging.crop import crop_cell
from core.imaging.decoder import decoded
from core.imaging.duplicates import pixels_sha256, unmarked
from core.imaging.illumination import flatten
from core.imaging.preview import preview_jpeg
from core.inference.pipeline import get_analyzer
from core.inference.site_profile import SiteProfile
from core.inference.tasks import models_of
from ui.components.fields import is_light_corrected

MAX_IMAGES = 500
"""Images that one visitor's session holds."""
_CROP_SIDE = 96
_BY_CONTENT: dict[str | type[Any], Callable[[Any], Any]] = {
    FieldImage: attrgetter("identity"),
    SiteProfile: SiteProfile.model_dump_json,
}


@st.cache_data(max_entries=MAX_IMAGES, show_spinner=False, hash_funcs=_BY_CONTENT)
def analyze_field(
    image: FieldImage, *, force: bool = False, profile: SiteProfile | None = None
) -> FieldAnalysis:
    """Analyze a field; the cache is shared by all visitors."""
    return get_analyzer().analyze(image, profile, force=force)


@st.cache_data(max_entries=MAX_IMAGES, show_spinner=False, hash_funcs=_BY_CONTENT)
def stage_field(
    image: FieldImage, *, force: bool = False, _analysis: FieldAnalysis | None = None
) -> StageResult:
    """Grade a field whose cells were counted before; the cache is shared by all visitors."""
    result = get_analyzer().stage(image, force=force, analysis=_analysis)
    return replace(result, analysis=None, blasts=None)


@dataclass(frozen=True)
class Views:
    """JPEG copies of an image, and of each white cell by its number in the image."""

    image: bytes
    cells: dict[int, bytes]
    boxes: tuple[tuple[int, Box], ...]
    """Of these cells, by their numbers."""


@dataclass
class SessionImage:
    """An analyzed image."""

    patient: str
    properties: ImageProperties
    pixels_sha256: str | None
    """Hash of the decoded pixels, the same whatever the file format; None of a rejected image that
    an earlier session stored."""
    own_result: FieldAnalysis
    """Result of this image alone."""
    result: FieldAnalysis
    """`own_result` with the cells marked that an earlier image shows too."""
    stage: StageResult | None = None
    """The answer of the ALL model, without cells; None before it was asked."""
    raw: bytes | None = None
    """The file as uploaded, when it could not be stored and the session has room for it."""
    field_id: int | None = None
    """The stored field."""
    sample_id: int | None = None
    """The stored sample that the image was saved to."""
    has_new_stage: bool = False
    """It was graded after it was saved."""
    lost: str | None = None
    """Why the stored image cannot be read."""
    is_reviewed: bool = False
    """Somebody labelled or corrected one of its cells."""
    views: dict[bool, Views] = field(default_factory=dict, repr=False)
    """The copies as taken (False) and light-corrected (True), made when they are shown."""

    @property
    def identity(self) -> tuple[str, int]:
        """SHA-256 of the file as uploaded, and page."""
        return self.result.identity

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.result.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.result.height

    @property
    def is_kept(self) -> bool:
        """Whether the image can be decoded again."""
        return self.field_id is not None or self.raw is not None

    @property
    def graded(self) -> StageResult | None:
        """The ALL class with the blasts as they count now; None before the ALL model was asked.

        Blasts are counted in every field that was analyzed, as reviewers label them.
        """
        if self.stage is None:
            return None
        counts = self.result.reject_reason is None
        return replace(
            self.stage,
            file=self.result.file,
            qc_override=self.stage.qc_override or self.result.qc_override,
            pixels_sha256=self.pixels_sha256,
            blasts=self.result.counts.blasts if counts else None,
            analysis=self.result if counts else None,
        )

    @property
    def original(self) -> Views:
        """The copies as taken."""
        return self._view(corrected=False)

    @property
    def corrected(self) -> Views:
        """The light-corrected copies."""
        return self._view(corrected=True)

    @property
    def shown(self) -> Views:
        """The copies that the visitor wants to see."""
        return self._view(corrected=is_light_corrected())

    def _view(self, *, corrected: bool) -> Views:
        view = self.views.get(corrected)
        if view is None or view.boxes != _boxes(self.result):  # reviewers add and move cells
            view = self.views[corrected] = self._drawn(corrected=corrected)
        return view

    def _drawn(self, *, corrected: bool) -> Views:
        boxes = _boxes(self.result)
        try:
            if self.field_id is not None:
                return _stored_views(self.field_id, corrected, boxes)
            for _, image in decode_again([self]):
                return _draw_views(image.pixels, corrected, boxes)
        except LeukoscopeError as error:
            self.lost = str(error)
        return _draw_views(np.full((self.height, self.width, 3), 200, np.uint8), False, boxes)

    def draw(self, pixels: Pixels) -> None:
        """Make the copies that are shown from an image that is decoded already.

        Both where it cannot be decoded again.
        """
        boxes, light = _boxes(self.result), is_light_corrected()
        if self.field_id is not None:
            self.views[light] = _stored_views(self.field_id, light, boxes, _pixels=pixels)
            return
        self.views = {light: _draw_views(pixels, light, boxes) for light in (False, True)}


def graded_field(image: FieldImage, analysis: FieldAnalysis, *, force: bool = False) -> StageResult:
    """Return the answer of the ALL model, without cells, for a field that was analyzed."""
    force = force or analysis.qc_override is not None
    result = stage_field(image, force=force, _analysis=analysis)
    return replace(result, file=analysis.file)


def session_image(
    patient: str,
    image: FieldImage,
    result: FieldAnalysis,
    stage: StageResult | None = None,
    raw: bytes | None = None,
) -> SessionImage:
    """Return an image as a session keeps it."""
    return SessionImage(
        patient=patient,
        properties=image.properties,
        pixels_sha256=pixels_sha256(image.pixels),
        own_result=result,
        result=result,
        stage=stage,
        raw=raw,
    )


def from_store(one: DraftField, before: SessionImage | None) -> SessionImage:
    """Return a stored image as it is now; copies and map of the one shown before are kept."""
    analysis, stage = one.stored.analysis, one.stored.stage
    own = unmarked(analysis)
    if before is None or before.field_id != one.stored.id:
        return SessionImage(
            patient=one.patient,
            properties=analysis.properties,
            pixels_sha256=one.pixels_sha256,
            own_result=own,
            result=analysis,
            stage=stage,
            field_id=one.stored.id,
            is_reviewed=one.is_reviewed,
        )
    is_same = _boxes(before.result) == _boxes(analysis)
    before.patient, before.result, before.is_reviewed = one.patient, analysis, one.is_reviewed
    # That of moved cells is made anew.
    prints = before.own_result.fingerprint if is_same else None
    before.own_result = replace(own, fingerprint=prints)
    if stage is None or before.stage is None or before.stage.stage != stage.stage:
        before.stage = stage
    return before


def new_field(image: SessionImage, decoded_image: FieldImage) -> NewField:
    """Return an image as the store takes it."""
    models = models_of(get_analyzer().versions, image.own_result, image.stage)
    return NewField(decoded_image, image.own_result, models, image.stage)


def _boxes(result: FieldAnalysis) -> tuple[tuple[int, Box], ...]:
    return tuple((number, cell.box) for number, cell in result.white_cells())


@st.cache_resource(
    max_entries=2 * MAX_IMAGES,
    ttl="1h",
    show_spinner=False,
    hash_funcs={tuple: repr},  # hashing box by box takes longer than all else of a cached page
)
def _stored_views(
    field_id: int,
    corrected: bool,
    boxes: tuple[tuple[int, Box], ...],
    _pixels: Pixels | None = None,
) -> Views:
    """Return the copies of a stored image; the cache is shared by all sessions that open it."""
    pixels = load_image(get_database(), field_id).pixels if _pixels is None else _pixels
    return _draw_views(pixels, corrected, boxes)


def _draw_views(pixels: Pixels, corrected: bool, boxes: tuple[tuple[int, Box], ...]) -> Views:
    """Return the copies of an image and of the white cells in numbered boxes."""
    shown = flatten(pixels) if corrected else pixels
    return Views(
        preview_jpeg(shown),
        {number: preview_jpeg(crop_cell(shown, box, size=_CROP_SIDE)) for number, box in boxes},
        boxes,
    )


def decode_again(images: Sequence[SessionImage]) -> Iterator[tuple[SessionImage, FieldImage]]:
    """Decode kept images again, one file at a time; images that are not kept are left out.

    Raises PictureMissingError for a stored image that is gone.
    """
    for image in images:
        if image.field_id is not None:
            yield image, load_image(get_database(), image.field_id)
    in_memory = [image for image in images if image.field_id is None and image.raw is not None]
    for _, group in groupby(in_memory, key=lambda image: image.identity[0]):
        same_file = list(group)
        with decoded(same_file[0].raw or b"", same_file[0].result.file) as decoded_images:
            by_page = {image.page: image for image in decoded_images}
            for image in same_file:
                yield image, by_page[image.identity[1]]
