"""The page that shows the API's description; nothing of it is loaded from elsewhere."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from core.api.guard import policy

FILES = "/docs/files"

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Return the page; it reads `openapi.json` and can send requests."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        title=request.app.title,
        openapi_url=f"{root}{request.app.openapi_url}",
        swagger_js_url=f"{root}{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{FILES}/swagger-ui.css",
        swagger_favicon_url=f"{root}{FILES}/favicon-32x32.png",
    )
    script = bytes(page.body).partition(b"<script>")[2].partition(b"</script>")[0]
    page.headers["Content-Security-Policy"] = policy(script)
    return page


def add_docs(app: FastAPI) -> None:
    """Serve the page and its files."""
    app.include_router(router)
    app.mount(FILES, StaticFiles(directory=swagger_ui_path))
