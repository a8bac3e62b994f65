"""The OpenAPI document: every operation with an example of what it takes and of what it gives.

Examples are put together from those of the fields, which stand beside the fields' rules; a test reads each
with the schema that it is an example of.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.errors import PROBLEM_TYPE

MOST_DEEP = 12
_BY_FORMAT = {
    "date-time": "2026-01-26T15:50:00Z",
    "date": "2026-01-26",
    "binary": "(bytes)",
    "uuid": "5c5c5c5c-5c5c-4c5c-8c5c-5c5c5c5c5c5c",
}

PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457. `code` is stable and for programs, `detail` says what to do.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:yundan:error:invalid_request"]},
        "title": {"type": "string", "examples": ["invalid request"]},
        "status": {"type": "integer", "examples": [422]},
        "code": {"type": "string", "examples": ["invalid_request"]},
        "detail": {"type": "string", "examples": ["freight_fen: Input should be greater than 0"]},
        "request_id": {"type": "string", "examples": ["req_0123456789abcdef01234567"]},
        "field": {
            "type": "string",
            "description": "the field, parameter or header at fault",
            "examples": ["freight_fen"],
        },
        "facts": {"type": "object", "examples": [{}]},
        "errors": {"type": "array", "items": {"type": "object"}, "examples": [[]]},
        "rows": {"type": "array", "items": {"type": "object"}, "examples": [[]]},
    },
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an application, made once.

    Args:
        app: with every route included.
    """
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title,
        summary=app.summary,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        separate_input_output_schemas=app.separate_input_output_schemas,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for item in document["paths"].values():
        for operation in item.values():
            _complete(operation, schemas)
    app.openapi_schema = document
    return document


DESCRIPTION = """\
Money is whole fen, times are RFC 3339 in UTC. A write carries an `Idempotency-Key`: sent again with the same
body it is answered as the first time, with another body it is refused; keys are kept for ever, answers that show a
secret for a day. Where nothing is kept (forms to sign) or a repetition changes nothing (positions) the key may be
left out; opening a session takes none. Lists are read by `limit`, `starting_after` and `ending_before`. Every object
has an `ETag`; give it as `If-None-Match` to be spared what you have, and as `If-Match` where a write takes it.
Every answer has an `X-Request-Id`, `RateLimit-*` and `Yundan-Mode` (test or live); problems speak Chinese where
`Accept-Language` asks for it first. Ids say their kind (`wb_`, `trp_`, `adv_`, `cl_`, `po_`, `pty_`, `key_`, ...);
those of what stands on chain are taken plain as well. What is signed or hashed (`to_sign`, evidence, receipts, a
driver's tasks) speaks the chain's plain names.
"""


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        schema = parameter.get("schema", {})
        if "example" not in parameter and "examples" not in parameter:
            parameter["example"] = example_of(schema, schemas)
    for media in operation.get("requestBody", {}).get("content", {}).values():
        _give_example(media, schemas)
    answers = operation.setdefault("responses", {})
    answers.pop("422", None)  # 4XX says it, in the form that is really given
    answers["4XX"] = _problem("A problem (RFC 9457)", schemas)
    answers["503"] = _problem("Busy, or the chain is away; send the same again", schemas)
    for status, answer in answers.items():
        if status.startswith("2"):
            for media in answer.get("content", {}).values():
                _give_example(media, schemas)


def _problem(description: str, schemas: dict[str, Any]) -> dict[str, Any]:
    media = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": example_of(schemas["Problem"], schemas),
    }
    return {"description": description, "content": {PROBLEM_TYPE: media}}


def _give_example(media: dict[str, Any], schemas: dict[str, Any]) -> None:
    if "example" not in media and "examples" not in media:
        schema = media.get("schema") or media.get("itemSchema") or {}
        media["example"] = example_of(schema, schemas)


def example_of(schema: dict[str, Any], schemas: dict[str, Any], deep: int = 0) -> Any:
    """An example of a schema: its own, or one put together from its parts."""
    if "example" in schema:
        return schema["example"]
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, deep + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return example_of(schema[word][0], schemas, deep + 1)
    return _of_type(schema, schemas, deep)


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], deep: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        if deep > MOST_DEEP:
            return {}
        return {
            name: example_of(part, schemas, deep + 1)
            for name, part in schema.get("properties", {}).items()
        }
    if kind == "array":
        return [example_of(schema.get("items", {}), schemas, deep + 1)]
    if kind == "string":
        if "pattern" in schema:
            return _of_pattern(schema["pattern"])
        given = _BY_FORMAT.get(schema.get("format", ""), "text")
        return given.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 10_000)]
    if kind in {"integer", "number"}:
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return min(max(1, least), schema.get("maximum", 2**53))
    return False if kind == "boolean" else {}


def _of_pattern(pattern: str) -> str:
    """A text that keeps a simple pattern: what is optional left out, the first of alternatives, of classes."""
    text = pattern.removeprefix("^").removesuffix("$")
    text = re.sub(r"\([^()]*\)\?", "", text)
    text = re.sub(r"\(([^()|]*)\|[^()]*\)", r"\1", text)
    text = re.sub(r"\[([^\]])[^\]]*\]\{(\d+)(?:,\d*)?\}", lambda m: m[1] * max(1, int(m[2])), text)
    return re.sub(r"\[([^\]])[^\]]*\]", r"\1", text)
