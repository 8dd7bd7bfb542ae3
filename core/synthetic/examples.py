"""Example images: the synthetic slides with their truth, and real fields from a public address.

The real fields are from BCCD (Shenggan, BCCD_Dataset, MIT licence), 640 x 480 pixels each.
"""

import hashlib
import json
import logging
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

_EXAMPLES = PROJECT_ROOT / "assets" / "examples"
_LOG = logging.getLogger(__name__)


def synthetic_slides() -> list[tuple[str, bytes]]:
    """Return the synthetic slides as file name and JPEG bytes."""
    return [(path.name, path.read_bytes()) for path in sorted(_EXAMPLES.glob("*.jpg"))]


@cache
def synthetic_truth() -> dict[str, Any]:
    """Return the true cells of each synthetic slide by its SHA-256; boxes are x, y, w, h."""
    truth = json.loads((_EXAMPLES / "truth.json").read_text(encoding="utf-8"))
    return {hashlib.sha256(data).hexdigest(): truth[name] for name, data in synthetic_slides()}


def bccd_fields(settings: Settings | None = None) -> list[tuple[str, bytes]]:
    """Return twelve real fields as file name and JPEG bytes; they are downloaded once.

    Raises DataError when the address cannot be reached.
    """
    folder = (settings or get_settings()).data / "bccd_fields"
    try:
        with requests.Session() as session, ThreadPoolExecutor(4) as pool:
            fields = pool.map(partial(_bccd_field, session, folder), BCCD_FIELDS)
            return list(zip(BCCD_FIELDS, fields, strict=True))
    except requests.RequestException as error:
        _LOG.warning("BCCD fields: %s", error)
        raise DataError(
            "This server cannot reach the public address of the BCCD fields "
            "(raw.githubusercontent.com). Check its network, or upload fields of your own."
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
    except OSError as error:  # on a read-only disk they are downloaded again next time
        _LOG.warning("%s is not kept: %s", name, error)
    return answer.content
