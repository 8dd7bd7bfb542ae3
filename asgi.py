"""The server: the pages, with the models loaded before the first visitor comes.

`streamlit run asgi.py`, or any ASGI server with `asgi:app`.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import streamlit as st

from core.errors import ModelError
from core.inference.analyzer import get_analyzer
from core.settings import PROJECT_ROOT

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Load the models; without them the pages still open and say what is wrong."""
    try:
        await anyio.to_thread.run_sync(get_analyzer)
    except ModelError as error:
        logger.error("%s", error)  # noqa: TRY400 - the sentence says all; a traceback adds nothing
    yield {}


app = st.App(PROJECT_ROOT / "streamlit_app.py", lifespan=lifespan)
