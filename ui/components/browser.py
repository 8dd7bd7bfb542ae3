"""Components of `assets/components` that run in the browser.

Their scripts share the helpers in `dom.js`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from core.settings import PROJECT_ROOT

_FOLDER = PROJECT_ROOT / "assets" / "components"


def mount(name: str, key: str, data: Mapping[str, Any], **handlers: Callable[[Any], None]) -> None:
    """Mount a component by its name; `handlers` receive what it sends, by event.

    One without a style sheet draws nothing and takes no height.
    What a browser sends can be anything: handlers check it.
    """

    def changed(event: str) -> None:
        message = st.session_state[key].get(event)
        if message is not None:
            handlers[event](message)

    css = _FOLDER / f"{name}.css"
    drawn = css.exists()
    # Declared in every run, because a declaration belongs to the running server.
    scripts = (_FOLDER / f"{script}.js" for script in ("dom", name))
    component = st.components.v2.component(
        f"leukoscope_{name}",
        js="".join(script.read_text(encoding="utf-8") for script in scripts),
        css=css.read_text(encoding="utf-8") if drawn else None,
    )
    listeners: dict[str, Any] = {
        f"on_{event}_change": lambda event=event: changed(event) for event in handlers
    }
    component(key=key, data=dict(data), height="content" if drawn else 0, **listeners)


def has_drawn(key: str) -> bool:
    """Return whether the visitor's browser has drawn the page down to here before.

    If not, it says so once it has, and the page runs again. What stands below the first screen can
    wait for that: Streamlit's frontend draws nothing until the libraries of all charts and tables
    are loaded that it was sent by then.
    """
    name = f"{key}_drawn"
    if name in st.session_state:
        return True

    def drawn(_: object) -> None:
        st.session_state[name] = True

    mount("when_drawn", f"{key}_when_drawn", {}, drawn=drawn)
    return False
