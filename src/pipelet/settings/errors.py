"""Messages about wrong settings: where each can be set, what it must be, and which name was probably meant."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

CONFIG_FILE = "pipelet.toml"
_NO_TABLES = "the file has no tables, only lines such as port = 8001."
_IN_CATALOG = "models and apps belong in a catalog, a separate file that the setting `catalog` names."
_TABLES = {"models": _IN_CATALOG, "apps": _IN_CATALOG}
_FLAGS = {"api_url": "url", "api_key": "key", "worker_app": "app"}
"""Flags that are not called like their setting."""


def describe_all(errors: Iterable[ErrorDetails], fields: Mapping[str, FieldInfo], flags: Collection[str]) -> list[str]:
    """Return one message for each wrong setting.

    Args:
        flags: the settings for which the command has a flag.
    """
    by_name = groupby(errors, key=lambda error: str(error["loc"][0]))
    return [_describe(name, list(group), fields, flags) for name, group in by_name]


def _describe(
    name: str, errors: Sequence[ErrorDetails], fields: Mapping[str, FieldInfo], flags: Collection[str]
) -> str:
    """Name a bad value, where it can be set, and what is wrong with it; or an unknown name, and the nearest one."""
    value = errors[0]["input"]
    if errors[0]["type"] == "extra_forbidden":
        if isinstance(value, dict):
            return f"[{name}] in {CONFIG_FILE}: {_TABLES.get(name, _NO_TABLES)}"
        alike = name.lower().removeprefix("pipelet_").replace("-", "_")
        return _unknown(f"{name} in {CONFIG_FILE}", alike, fields)
    flag = _FLAGS.get(name, name).replace("_", "-")
    where = f"{name} in {CONFIG_FILE}" + (f", --{flag}" if name in flags else "")
    shown = f" (it is {value!r})" if fields[name].repr else ""  # others may hold a secret
    reasons = ", or ".join(_plain(error["msg"]) for error in errors)  # one error for each type of a union
    return f"PIPELET_{name.upper()} ({where}): {reasons}{shown}"


def describe_aws(error: Mapping[str, Any]) -> str:
    """Return the message about a variable of AWS, whose value is never shown."""
    return ": ".join([*(f"AWS_{name}".upper() for name in error["loc"]), _plain(error["msg"])])


def unknown_variables(fields: Iterable[str], environment: Iterable[str]) -> list[str]:
    """Return a message for each variable with our prefix that is not a setting: ignored, it would puzzle operators."""
    known = [f"PIPELET_{name.upper()}" for name in fields]
    ours = sorted(name for name in environment if name.upper().startswith("PIPELET_"))
    return [_unknown(name, name.upper(), known) for name in ours if name.upper() not in known]


def _plain(message: str) -> str:
    """Return Pydantic's message in the style of ours, such as "must be a valid integer"."""
    return message.removeprefix("Value error, ").replace("Input should", "must", 1).partition(", unable to parse")[0]


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    meant = difflib.get_close_matches(name, known, n=1)
    return f"{what}: no such setting." + (f" Did you mean {meant[0]}?" if meant else "")
