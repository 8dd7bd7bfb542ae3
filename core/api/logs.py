"""The id of the request in every log record, and one record for each request."""

import logging
import re
import uuid
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Of the request that is answered now, in its tasks and threads alike."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def id_of(offered: str | None) -> str:
    """Return the id that a client offers when it is fit for a log, else a new one."""
    return offered if offered and _SANE.fullmatch(offered) else uuid.uuid4().hex


def set_up_logging() -> None:
    """Write records with the id of their request, and those of each request too."""
    logging.basicConfig()
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_id)
        handler.setFormatter(logging.Formatter(_FORMAT))
    logging.getLogger("core.api").setLevel(logging.INFO)


def _add_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True
