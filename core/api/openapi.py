"""What FastAPI cannot tell of the API by itself: bodies read piece by piece, problems, streams."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from core.api.deps import NDJSON
from core.api.problems import MEDIA_TYPE
from core.api.schemas import InvalidValue, PictureBody, PicturesBody, Problem

Described = dict[str, Any]

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


def one_picture() -> Described:
    """Describe the body of a request with one picture."""
    return _body(PictureBody, {"file": _FILE}, ["file"])


def pictures() -> Described:
    """Describe the body of a request with one picture or several."""
    files = {"type": "array", "items": _FILE, "minItems": 1}
    return _body(PicturesBody, {"files": files}, ["files"])


def streamed_too() -> dict[int | str, Described]:
    """Describe the answer line by line."""
    schema = {"type": "string", "description": "A JSON object a line"}
    return {200: {"content": {NDJSON: {"schema": schema, "example": _LINES}}}}


def describe(app: FastAPI) -> Described:
    """Return the OpenAPI description of an app."""
    described = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = described["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # here they are problems
        schemas.pop(name, None)
    for model in (Problem, InvalidValue, PictureBody, PicturesBody):
        schemas[model.__name__] = _schema(model)
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


def _schema(model: type[BaseModel]) -> Described:
    schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
    schema.pop("$defs", None)
    return schema
