"""TypeScript's types of `/api/v1`, from the OpenAPI document: what the page's JavaScript is checked against."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.docs.openapi import openapi_document
from tests.support.browsers import npm_package
from tests.support.installed import NODE

PAGE = Path(__file__).parents[3] / "src" / "pipelet" / "web"
# Next to a module `api.js`, TypeScript would take an `api.d.ts` for its types.
API_TYPES = PAGE / "js" / "lib" / "api-types.d.ts"
_SCHEMA = "#/components/schemas/"


def api_types() -> str:
    """The declarations as `make docs` writes them."""
    generator = npm_package("openapi-typescript") / "bin" / "cli.js"
    done = subprocess.run(
        [str(NODE), str(generator)], input=json.dumps(_of_v1()), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def _of_v1() -> dict[str, Any]:
    """The document without what the page does not call."""
    document = openapi_document()
    paths = {path: operations for path, operations in document["paths"].items() if path.startswith("/api/v1/")}
    schemas: dict[str, Any] = document["components"]["schemas"]
    used: set[str] = set()
    found = list(_named_in(paths))
    while found:
        name = found.pop()
        if name not in used:
            used.add(name)
            found += _named_in(schemas[name])
    return {
        "openapi": document["openapi"],
        "info": document["info"],
        "paths": paths,
        "components": {"schemas": {name: schema for name, schema in schemas.items() if name in used}},
    }


def _named_in(node: object) -> Iterator[str]:
    """The schemas that a part of the document refers to."""
    match node:
        case {"$ref": str(reference)} if reference.startswith(_SCHEMA):
            yield reference.removeprefix(_SCHEMA)
        case dict():
            for each in node.values():
                yield from _named_in(each)
        case list():
            for each in node:
                yield from _named_in(each)
