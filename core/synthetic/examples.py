"""Pictures for newcomers: the made slides with their truth, and real fields from a public address.

The real fields are from BCCD (Shenggan, BCCD_Dataset, MIT licence), 640 x 480 pixels each.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import requests

from core.errors import DataError
from core.files import write_atomically
from core.settings import PROJECT_ROOT, Settings, get_settings

BCCD_ADDRESS = (
    "https://raw.githubusercontent.com/Shenggan/BCCD_Dataset/master/BCCD/JPEGImages/{name}"
)
BCCD_FIELDS = tuple(
    f"BloodImage_{number:05}.jpg" for number in (0, 3, 7, 11, 22, 43, 62, 75, 99, 113, 134, 150)
)
SECONDS_TO_CONNECT, SECONDS_TO_READ = 5, 15

_MADE = PROJECT_ROOT / "assets" / "examples"
_LOG = logging.getLogger(__name__)


def made_slides() -> list[tuple[str, bytes]]:
    """Return the made slides as file name and JPEG bytes."""
    return [(path.name, path.read_bytes()) for path in sorted(_MADE.glob("*.jpg"))]


@cache
def made_truth() -> dict[str, Any]:
    """Return what was drawn in each made slide by its SHA-256; boxes are x, y, width, height."""
    truth = json.loads((_MADE / "truth.json").read_text(encoding="utf-8"))
    return {hashlib.sha256(data).hexdigest(): truth[name] for name, data in made_slides()}


def bccd_fields(
    names: Sequence[str] = BCCD_FIELDS, settings: Settings | None = None
) -> list[tuple[str, bytes]]:
    """Return a dozen real fields as file name and JPEG bytes; downloaded once, then kept on disk.

    Raises DataError when the address cannot be reached.
    """
    folder = (settings or get_settings()).data / "bccd_fields"
    try:
        with requests.Session() as session, ThreadPoolExecutor(4) as pool:
            return list(
                zip(names, pool.map(partial(_bccd_field, session, folder), names), strict=True)
            )
    except requests.RequestException as error:
        _LOG.warning("BCCD fields: %s", error)
        raise DataError(
            "The public address of the BCCD fields (raw.githubusercontent.com) cannot be reached "
            "from this server. Check its network, or upload fields of your own."
        ) from error


def _bccd_field(session: requests.Session, folder: Path, name: str) -> bytes:
    kept = folder / name
    if kept.is_file():
        return kept.read_bytes()
    answer = session.get(
        BCCD_ADDRESS.format(name=name), timeout=(SECONDS_TO_CONNECT, SECONDS_TO_READ)
    )
    answer.raise_for_status()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, answer.content)
    except OSError as error:  # a read-only disk only costs the next download
        _LOG.warning("%s is not kept: %s", name, error)
    return answer.content
