"""What is made from the code: parts of the documentation, and the types of the page's API.

`python -m tests.docs.reference` rewrites them.
"""

import re
from dataclasses import fields
from inspect import getsource
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from pipelet.domain.catalog import App, AppLimits, FalId, ModelConfig
from pipelet.settings import Settings
from pipelet.settings.aws import AwsSettings
from tests.docs.openapi import openapi_document
from tests.web.source.api_types import API_TYPES, api_types

DOCS = Path(__file__).parent.parent.parent / "docs"


def parts() -> dict[tuple[str, str], str]:
    """By page and name of the part, the text it must have."""
    return {
        ("configuration.md", "settings"): settings_table(Settings),
        ("configuration.md", "aws"): settings_table(AwsSettings),
        ("configuration.md", "model"): fields_table(ModelConfig),
        ("configuration.md", "app"): fields_table(App),
        ("configuration.md", "fal_id"): fields_table(FalId),
        ("configuration.md", "limits"): fields_table(AppLimits),
        ("api.md", "routes"): routes_table("/fal/"),
        ("api/v1.md", "routes"): routes_table("/api/v1/"),
        ("api.md", "input"): input_table(),
    }


def settings_table(shape: type[BaseSettings]) -> str:
    prefix = shape.model_config.get("env_prefix", "")
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in shape.model_fields.items():
        default = "" if field.default in ("", None, PydanticUndefined) else f"`{field.default}`"
        rows.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def fields_table(shape: type[Any]) -> str:
    """Of a dataclass whose fields carry a docstring where their name does not say it all."""
    described = dict(re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', getsource(shape), re.MULTILINE | re.DOTALL))
    rows = ["| field | default | what it is |", "|---|---|---|"]
    for field in fields(shape):
        if field.name in ("name", "limits"):
            continue
        plain = isinstance(field.default, str | int | float) and field.default != ""
        default = f"`{field.default}`" if plain else ""
        rows.append(f"| `{field.name}` | {default} | {' '.join(described.get(field.name, '').split())} |")
    return "\n".join(rows)


def routes_table(root: str) -> str:
    """The routes whose paths begin with `root`."""
    rows = ["| route | purpose | status codes |", "|---|---|---|"]
    paths = openapi_document()["paths"].items()
    for path, operations in (each for each in paths if each[0].startswith(root)):
        for method, operation in operations.items():
            codes = ", ".join(sorted(operation["responses"]))
            rows.append(f"| `{method.upper()} {path}` | {operation['summary']} | {codes} |")
    return "\n".join(rows)


def input_table() -> str:
    document = openapi_document()
    operation = document["paths"]["/fal/queue/z-image-text-to-image"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    rows = ["| field | limits | default | what it is |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        required = name in schema.get("required", [])
        default = "required" if required else f"`{field['default']}`" if field.get("default") is not None else ""
        rows.append(f"| `{name}` | {limits_of(field)} | {default} | {field.get('description', '')} |")
    return "\n".join(rows)


def limits_of(field: dict[str, Any]) -> str:
    """The range or the choices, wherever in the schema of a field they are."""
    for shape in [field, *field.get("anyOf", [])]:
        if "minimum" in shape and "maximum" in shape:
            return f"{shape['minimum']:,.0f} to {shape['maximum']:,.0f}"
        if "enum" in shape:
            return ", ".join(f"`{choice}`" for choice in shape["enum"])
        if "maxLength" in shape and "pattern" not in shape:
            return f"at most {shape['maxLength']:,} characters"
    return ""


def with_parts(page: str, text: str) -> str:
    """`text`, with each marked part as the code has it."""
    for (of_page, name), part in parts().items():
        if of_page == page:
            begin, end = f"<!-- {name}: made by `make docs` -->", f"<!-- end of {name} -->"
            before, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            text = f"{before}{begin}\n\n{part}\n\n{end}{after}"
    return text


def main() -> None:
    for page in {page for page, _ in parts()}:
        path = DOCS / page
        path.write_text(with_parts(page, path.read_text()))
    API_TYPES.write_text(api_types(), "utf-8")


if __name__ == "__main__":
    main()
