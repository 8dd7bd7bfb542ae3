"""Fetching a public data set onto this machine at the press of a button."""

import streamlit as st

from core.cases.database import get_database
from core.cases.users import require
from core.datasets.download import get
from core.datasets.sources import PUBLIC_SETS, how_to_get
from core.errors import LeukoscopeError
from core.settings import get_settings
from ui.components import shared
from ui.components.actions import kept_button
from ui.components.visitor import current_user


def offer_set(name: str, key: str) -> None:
    """Say what a public set holds and where it comes from; let an administrator fetch it.

    `name` is one of `PUBLIC_SETS`, `key` of the button. The page runs anew when the set is here.
    """
    source = PUBLIC_SETS[name]
    st.caption(
        f"The images of this set are not on this machine. {source.name}: {source.content}. "
        f"{source.licence}. {how_to_get(name)}."
    )
    if not source.parts:
        return
    if kept_button("Get this set", f"{key}_get", icon=":material/cloud_download:"):
        bar = st.progress(0.0, "Connecting")

        def progress(done: int, total: int) -> None:
            size = f" of {total / 1e6:.0f}" if total else ""
            packing = ". Packing the images" if done >= total > 0 else ""
            text = f"{done / 1e6:.0f}{size} MB{packing}"
            bar.progress(min(done / total, 1.0) if total else 0.0, text)

        try:
            require(current_user(get_database()), "admin")
            get(name, get_settings(), progress=progress)
        except LeukoscopeError as error:
            bar.empty()
            st.error(shared.plain(str(error)), icon=":material/error:")
        else:
            st.rerun()
