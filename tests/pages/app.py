"""The app as a test opens it: at a page, with what its address says."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.settings import PROJECT_ROOT
from ui import overview

SECONDS = 120


def open_app(page: str | None = None, /, **address: object) -> AppTest:
    """Open the app, at a page of `pages/` when one is named."""
    script = str(PROJECT_ROOT / "streamlit_app.py")
    app = AppTest.from_file(script, default_timeout=SECONDS)
    if page is None:
        return checked(app.run())
    # The pages are known only after a first run, and the overview in it analyses an example.
    with pytest.MonkeyPatch.context() as patch:
        for part in ("show_example", "show_latest", "show_accuracy", "show_health"):
            patch.setattr(overview, part, lambda: None)
        checked(app.run())
    return go_to(app, page, **address)


def go_to(app: AppTest, page: str, /, **address: object) -> AppTest:
    """Change to a page as the menu does."""
    app.switch_page(f"pages/{page}.py")
    for name, value in address.items():
        app.query_params[name] = str(value)
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    """Give the app back once it ran without an exception."""
    assert not app.exception
    return app


def button(app: AppTest, label: str):
    """Return the first button with a label."""
    return next(b for b in app.button if b.label == label)


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    """Drop named files on the first uploader of the page."""
    for name, data in files:
        app.file_uploader[0].upload(name, data)
    return checked(app.run())


def press(app: AppTest, key: str) -> AppTest:
    """Press the button with a key."""
    app.button(key=key).click()
    return checked(app.run())


def component_data(app: AppTest, name: str) -> dict[str, Any]:
    """Return the data of the component that has a part of this name."""
    return next(
        data
        for component in app.get("bidi_component")
        for data in [json.loads(component.proto.json or component.proto.mixed.json or "{}")]
        if name in data
    )


def texts(app: AppTest) -> str:
    """Return what the page says, but for headings, warnings and errors."""
    return "\n".join(m.value for m in (*app.markdown, *app.caption, *app.info, *app.success))
