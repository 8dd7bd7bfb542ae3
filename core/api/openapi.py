"""The description of the API: what FastAPI cannot derive by itself, and the page that shows it."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from core.api.deps import NDJSON
from core.api.guard import policy
from core.api.problems import MEDIA_TYPE
from core.api.schemas import ImageBody, ImagesBody, InvalidValue, Problem

Described = dict[str, Any]

FILES = "/docs/files"

router = APIRouter(include_in_schema=False)

_SCHEMAS = "#/components/schemas/"
_FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_PROBLEM = {
    "description": "What went wrong (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}}},
}
_LINES = (
    '{"done": 1, "total": 2, "image": {"file": "1.png", "...": "as in `images`"}}\n'
    '{"done": 2, "total": 2, "error": {"file": "2.png", "error": "The file is empty. ..."}}\n'
    '{"done": 2, "total": 2, "totals": {"images": 1, "errors": 1, "refused": 0}}\n'
)


def one_image_body() -> Described:
    """Describe the body of a request with one image."""
    return _body(ImageBody, {"file": _FILE}, ["file"])


def image_bodies() -> Described:
    """Describe the body of a request with one image or several."""
    files = {"type": "array", "items": _FILE, "minItems": 1}
    return _body(ImagesBody, {"files": files}, ["files"])


def streamed_too() -> dict[int | str, Described]:
    """Describe the answer line by line."""
    schema = {"type": "string", "description": "A JSON object a line"}
    return {200: {"content": {NDJSON: {"schema": schema, "example": _LINES}}}}


def describe(app: FastAPI) -> Described:
    """Return the OpenAPI description of an app."""
    described = FastAPI.openapi(app)
    schemas = described["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # here they are problems
        schemas.pop(name, None)
    for model in (Problem, InvalidValue, ImageBody, ImagesBody):
        schema = model.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    for path in described["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
            if "security" in operation and not app.state.services.access.tokens:
                operation["security"].append({})  # a token is welcome, not needed
    return described


def _body(json: type[BaseModel], properties: Described, required: list[str]) -> Described:
    form = {"type": "object", "properties": properties, "required": required}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": {"$ref": f"{_SCHEMAS}{json.__name__}"}},
            },
        }
    }


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Return the page that shows `openapi.json` and sends requests, with local files only."""
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
