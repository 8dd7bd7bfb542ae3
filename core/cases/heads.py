"""Heads of the audit trail, kept outside the database: they prove what the chain cannot.

Whoever can rewrite the whole database can write another chain that is whole in itself. A head is
the number and the hash of the last entry. Appended to a file on another volume after every
change, and signed with a key (Ed25519, RFC 8032) that the database does not hold, it shows both
another chain and entries cut off the end. A line of the file is one head as JSON:
`{"entry": 12, "hash": "…", "at": "…", "signature": "…"}`.
"""

import base64
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from core.errors import CaseError, SettingsError
from core.settings import Settings

logger = logging.getLogger(__name__)


class HeadsError(CaseError):
    """The file of heads, or the key to check it with, cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Where heads go, and the key that signs them; either may be None."""

    file: Path | None = None
    key: Ed25519PrivateKey | None = None

    @property
    def public_key(self) -> Ed25519PublicKey | None:
        """The key that checks the signatures, when there is one that signs."""
        return None if self.key is None else self.key.public_key()

    def line(self, number: int, entry_hash: str) -> str:
        """Return a head as a line of the file, signed when there is a key."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        head: dict[str, object] = {"entry": number, "hash": entry_hash, "at": now}
        if self.key is not None:
            signature = self.key.sign(_message(number, entry_hash))
            head["signature"] = base64.b64encode(signature).decode()
        return json.dumps(head) + "\n"

    def append(self, number: int, entry_hash: str) -> None:
        """Append a head to the file, where there is one.

        The change is committed by now, so a failure is only logged: the next head covers this one.
        """
        if self.file is None:
            return
        try:
            _append(self.file, self.line(number, entry_hash).encode())
        except OSError as error:
            logger.error("the audit trail's head was not written: %s", error.strerror)  # noqa: TRY400


def open_heads(settings: Settings) -> Heads:
    """Return what the settings name, tried out. Raises SettingsError."""
    key = None
    if settings.audit_key is not None:
        try:
            loaded = load_pem_private_key(settings.audit_key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError("audit_key", "this is no readable PEM file of a key") from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise SettingsError("audit_key", "the key is not of the kind Ed25519")
        key = loaded
    if settings.audit_heads is not None:
        try:
            _append(settings.audit_heads, b"")
        except OSError as error:
            raise SettingsError("audit_heads", "the file cannot be written") from error
    return Heads(settings.audit_heads, key)


def read_public_key(file: Path) -> Ed25519PublicKey:
    """Return the public key of a PEM file. Raises HeadsError."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise HeadsError(
            f"{file} is no readable PEM file of a public key. Name another."
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise HeadsError(f"The key in {file} is not of the kind Ed25519. Name another.")
    return key


def read_heads(file: Path, key: Ed25519PublicKey | None) -> Mapping[int, str]:
    """Return the hashes in a file of heads by the numbers of their entries.

    With a key every line must carry its signature. Raises HeadsError with the first line that is
    wrong, or when two lines contradict one another.
    """
    found: dict[int, str] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise HeadsError(f"The file of heads {file} cannot be read. Check its rights.") from error
    for place, line in enumerate(lines, 1):
        try:
            head = json.loads(line)
            number, entry_hash = int(head["entry"]), str(head["hash"])
            if key is not None:
                key.verify(base64.b64decode(head["signature"]), _message(number, entry_hash))
        except (ValueError, KeyError, TypeError) as error:
            raise HeadsError(f"Line {place} of {file} is no head of an audit trail.") from error
        except InvalidSignature as error:
            raise HeadsError(f"Line {place} of {file} is not signed with this key.") from error
        if found.setdefault(number, entry_hash) != entry_hash:
            raise HeadsError(
                f"Line {place} of {file} gives entry {number:,} another hash than a line before."
            )
    return found


def _message(number: int, entry_hash: str) -> bytes:
    return f"leukoscope audit {number} {entry_hash}".encode()


def _append(file: Path, data: bytes) -> None:
    """Append in one write, which others that append at the same time do not cut in two."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
