"""A site profile from the cells that reviewers named in the case database."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from core.adaptation.site import LEAST_CELLS, SiteCells, adapt, next_version, save_profile
from core.cases.database import Database
from core.cases.records import LabelledCell
from core.cases.reviews import labelled_cells
from core.cases.samples import load_image
from core.domain.taxonomy import CELL_TYPES
from core.errors import ProfileError
from core.imaging.illumination import flatten
from core.inference.cell_classifier import CellClassifier, CellRegion
from core.inference.site_profile import SiteProfile, profile_path
from core.settings import Settings

MOST_CELLS = 20
"""Cells of a type that are learnt from, the last ones: each is left out once, which takes time."""


def types_to_learn(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the types with enough reviewed cells for a profile; empty when there are not two."""
    enough = tuple(key for key in CELL_TYPES if counts.get(key, 0) >= LEAST_CELLS)
    return enough if len(enough) > 1 else ()


def site_cells(
    database: Database, classifier: CellClassifier, cells: Iterable[LabelledCell]
) -> SiteCells:
    """Return what the shipped classifier sees in reviewed cells of the model's types.

    Raises NotFoundError, PictureMissingError.
    """
    by_field: defaultdict[int, list[LabelledCell]] = defaultdict(list)
    for cell in cells:
        by_field[cell.field_id].append(cell)
    answers, types = [], []
    for field_id, of_field in by_field.items():
        pixels = flatten(load_image(database, field_id).pixels)
        for cell in of_field:
            region = CellRegion(cell.cell.box, cell.micrometres_per_pixel)
            answers.append(classifier.predict(pixels, region))
            types.append(classifier.labels.index(str(cell.cell.type)))
    return SiteCells.of(answers, types)


def learn_profile(
    database: Database,
    classifier: CellClassifier,
    types: Sequence[str],
    name: str,
    settings: Settings | None = None,
) -> SiteProfile:
    """Fit a profile to the last reviewed cells of some types; it is not saved.

    Raises ProfileError with too few cells, a name that is none, or when the profile would do harm,
    and as `site_cells`.
    """
    path = named_profile_path(name, settings)
    cells = [cell for key in types for cell in labelled_cells(database, key, MOST_CELLS)]
    seen = site_cells(database, classifier, cells)
    return adapt(seen, name, classifier, version=next_version(path))


def keep_profile(profile: SiteProfile, settings: Settings | None = None) -> Path:
    """Write a profile to the store and return where it lies. Raises ProfileError."""
    path = named_profile_path(profile.name, settings)
    try:
        save_profile(profile, path)
    except OSError as error:
        raise ProfileError(
            "The profile could not be written to the store. Check the free space and the rights "
            "of the store folder."
        ) from error
    return path


def default_name() -> str:
    """Return a name for a profile made today."""
    return f"site-{datetime.now(UTC):%Y-%m-%d}"


def named_profile_path(name: str, settings: Settings | None = None) -> Path:
    """Return where a profile that a person names lies in the store.

    Raises ProfileError for a name with anything but letters, digits, hyphens and underscores:
    such a name could be a path.
    """
    if not re.fullmatch(r"[\w-]{1,60}", name, re.ASCII):
        raise ProfileError(
            "Name the profile with up to 60 letters, digits, hyphens and underscores."
        )
    return profile_path(name, settings)
