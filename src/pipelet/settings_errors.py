"""What is wrong with the settings, in words: where each was set, what it must be, and which one was meant."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

CONFIG_FILE = "pipelet.toml"
_NO_TABLES = "it has no tables, only lines such as port = 8001."
_IN_CATALOG = "models and apps stand in a catalog, a file of its own that the setting `catalog` names."
_TABLES = {"models": _IN_CATALOG, "apps": _IN_CATALOG}


def describe(fault: ErrorDetails, fields: Mapping[str, FieldInfo], flags: Collection[str]) -> str:
    """Name a bad value, where it can be set, and what is wrong with it; or an unknown name, and the nearest one.

    Args:
        flags: the settings that the command has a flag for.
    """
    name = ".".join(map(str, fault["loc"]))
    field = fields.get(name)
    if fault["type"] == "extra_forbidden":
        if isinstance(fault["input"], dict):
            return f"[{name}] in {CONFIG_FILE}: {_TABLES.get(name, _NO_TABLES)}"
        alike = name.lower().removeprefix("pipelet_").replace("-", "_")
        return _unknown(f"{name} in {CONFIG_FILE}", alike, fields)
    where = f"{name} in {CONFIG_FILE}" + (f", --{name.replace('_', '-')}" if name in flags else "")
    shown = f" (it is {fault['input']!r})" if field is not None and field.repr else ""  # others may hold a secret
    return f"PIPELET_{name.upper()} ({where}): {_plain(fault['msg'])}{shown}"


def describe_aws(fault: Mapping[str, Any]) -> str:
    """The same for a variable of AWS, whose value is never shown."""
    return ": ".join([*(f"AWS_{name}".upper() for name in fault["loc"]), _plain(fault["msg"])])


def unknown_variables(fields: Iterable[str], environment: Iterable[str]) -> list[str]:
    """Variables that look like ours and are not: ignored, they would leave an operator wondering."""
    known = [f"PIPELET_{name.upper()}" for name in fields]
    ours = sorted(name for name in environment if name.upper().startswith("PIPELET_"))
    return [_unknown(name, name.upper(), known) for name in ours if name.upper() not in known]


def _plain(message: str) -> str:
    """Pydantic's message in our own words, such as "must be a valid integer"."""
    return message.removeprefix("Value error, ").replace("Input should", "must", 1).partition(", unable to parse")[0]


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    meant = difflib.get_close_matches(name, known, n=1)
    return f"{what}: there is no such setting." + (f" Did you mean {meant[0]}?" if meant else "")
