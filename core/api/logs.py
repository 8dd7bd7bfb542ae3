"""The server's log: the id of the request in every record, one record a request, no names.

Patients' identifiers, search texts and file names reach the log in three ways: in the text of an
exception, in the query of an address, and in an address that fits no route. Whoever writes a
record leaves them out, and `keep_private` takes them out of the records of the libraries.
"""

import logging
import re
import traceback
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Of the request that is answered now, in its tasks and threads alike."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def id_of(offered: str | None) -> str:
    """Return the id that a client offers when it is fit for a log, else a new one."""
    return offered if offered and _SANE.fullmatch(offered) else uuid.uuid4().hex


def set_up_logging() -> None:
    """Write records with the id of their request, and those of each request too."""
    keep_private()
    logging.basicConfig()
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_id)
        handler.setFormatter(logging.Formatter(_FORMAT))
    logging.getLogger("core.api").setLevel(logging.INFO)


def keep_private() -> None:
    """Take the texts of exceptions and the queries of addresses out of all records from now on."""
    logging.setLogRecordFactory(_private_record)


def _private_record(*arguments: Any, **more: Any) -> logging.LogRecord:
    record = logging.LogRecord(*arguments, **more)
    if record.exc_info and record.exc_info[1] is not None:
        # Formatters write this in place of the trace that they would make.
        record.exc_text = "".join(_trace(record.exc_info[1])).rstrip()
    if str(record.name).startswith("uvicorn") and isinstance(record.args, tuple):
        record.args = tuple(
            value.partition("?")[0] if isinstance(value, str) else value for value in record.args
        )
    return record


def _trace(error: BaseException) -> Iterator[str]:
    """Give where an error and its causes arose, and their kinds, without what they say."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _trace(cause)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _trace(part)
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"


def _add_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True
