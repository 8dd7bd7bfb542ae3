"""The server: the pages, with models loaded and the store tidied before the first visitor comes.

`streamlit run asgi.py`, or any ASGI server with `asgi:app`.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import streamlit as st

from core.cases.database import get_database
from core.cases.samples import sweep
from core.errors import CaseError, ModelError
from core.inference.analyzer import get_analyzer
from core.settings import PROJECT_ROOT

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Load the models and sweep the store; without them the pages open and say what is wrong."""
    for task in (get_analyzer, sweep_store):
        try:
            await anyio.to_thread.run_sync(task)
        except (ModelError, CaseError) as error:
            logger.error("%s", error)  # noqa: TRY400 - the sentence says all
        except OSError:
            logger.exception("the store cannot be swept")
    yield {}


def sweep_store() -> None:
    """Remove pictures that a save left behind when it was cut off.

    Raises CaseError, and OSError for a store that is read-only.
    """
    removed = sweep(get_database())
    if removed:
        logger.warning("%d pictures without a case were removed from the store", removed)


app = st.App(PROJECT_ROOT / "streamlit_app.py", lifespan=lifespan)
