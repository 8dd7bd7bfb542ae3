"""The server: the pages and the REST API under `/api`, with one set of models for both.

Models are loaded and the store is tidied before the first visitor comes. Start it with
`python -m core serve`, which limits slow connections too, or any ASGI server with `asgi:app`.
"""

import gc
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount
from streamlit import config
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime import get_instance

from core.access import auth_section, check_sign_in, get_access
from core.api.app import create_app
from core.api.connections import ConnectionLimit
from core.api.guard import Guard
from core.api.logs import set_up_logging
from core.api.quota import UploadQuota
from core.cases.database import get_database
from core.cases.drafts import expire_drafts
from core.cases.learners import expire_learners
from core.cases.samples import sweep
from core.cases.users import LOCAL_USER, users
from core.errors import CaseError, ModelError, OpenAddressError, SettingsError, SignInSettingsError
from core.imaging.decoder import start_decoders
from core.inference.pipeline import get_analyzer
from core.settings import PROJECT_ROOT, get_settings
from core.slides.uploads import expire_uploads

REDRAW = BackMsg(rerun_script=ClientState()).SerializeToString()
"""What a page sends to be drawn as it opens, with nothing pressed and nothing entered."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Load the models and sweep the store; without them the pages open and say what is wrong."""
    set_up_logging()
    for task in (start_decoders, get_analyzer, sweep_store, warn_without_admins):
        try:
            await anyio.to_thread.run_sync(task)
        except (ModelError, CaseError) as error:
            logger.error("%s", error)  # noqa: TRY400 - the sentence says all
        except OSError:
            logger.exception("the store cannot be swept")
    # Streamlit collects garbage after each run of a page; over all that is loaded by now this
    # holds the interpreter lock for a third of a second, in which no request is answered.
    gc.collect()
    gc.freeze()
    yield {}


def sweep_store() -> None:
    """Check the store, delete what expired, and remove images that interrupted saves left.

    Raises CaseError, and OSError when images cannot be removed.
    """
    if expired := expire_uploads(get_settings()):
        logger.info("%d uploads of slides that nobody continued were deleted", expired)
    database = get_database()
    database.check(whole=True)
    if database.read_only:
        return
    if expired := expire_drafts(database):
        logger.info("%d drafts that nobody used were deleted", expired)
    if expired := expire_learners(database):
        logger.info("%d learners who did not come back were deleted", expired)
    removed = sweep(database)
    if removed:
        logger.warning("%d images without a case were removed from the store", removed)


def warn_without_admins() -> None:
    """Warn when nobody who signs in could let anybody in. Raises CaseError."""
    signs_in = {name for name in get_settings().admins if name != LOCAL_USER}
    if not get_access().sign_in or signs_in:
        return
    if all(p.role != "admin" or p.name == LOCAL_USER for p in users(get_database())):
        logger.warning(
            "Nobody who signs in is an administrator. Name one with LEUKOSCOPE_ADMINS, then start "
            "again."
        )


try:
    check_sign_in(auth_section())
    access = get_access()
    app = st.App(
        PROJECT_ROOT / "streamlit_app.py",
        routes=[Mount("/api", create_app(access=access))],
        middleware=[
            Middleware(ConnectionLimit),
            Middleware(Guard, access=access, redraw=REDRAW),
            Middleware(UploadQuota, uploads=lambda: get_instance().uploaded_file_mgr),
        ],
        lifespan=lifespan,
    )
    access.check_address(config.get_option("server.address"))
except (SettingsError, SignInSettingsError, OpenAddressError) as error:
    sys.exit(str(error))
if config.get_option("server.trustedUserHeaders"):
    sys.exit("Clients could name themselves. Remove server.trustedUserHeaders, then start again.")
