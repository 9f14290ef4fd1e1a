"""What is wrong with the settings, in words that show no secret."""

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

CONFIG_FILE = "pipelet.toml"


def describe(fault: ErrorDetails, fields: Mapping[str, FieldInfo]) -> str:
    """Name a bad value, where it can be set, and what is wrong with it.

    The value itself is shown only where it cannot hold a secret: fields that may, such as URLs, have no `repr`, and a
    name that is unknown may be that of a secret, misspelt.
    """
    name = ".".join(map(str, fault["loc"]))
    field = fields.get(name)
    shown = f" (it is {fault['input']!r})" if field is not None and field.repr else ""
    return f"PIPELET_{name.upper()} ({name} in {CONFIG_FILE}, --{name.replace('_', '-')}): {fault['msg']}{shown}"


def describe_aws(fault: Mapping[str, Any]) -> str:
    """The same for a variable of AWS, whose value is never shown."""
    return ": ".join([*(f"AWS_{name}".upper() for name in fault["loc"]), fault["msg"]])


def unknown_variables(fields: Iterable[str]) -> list[str]:
    """Variables that look like ours and are not: ignored, they would leave an operator wondering."""
    known = {f"PIPELET_{name.upper()}" for name in fields}
    faults = []
    ours = (name for name in os.environ if name.upper().startswith("PIPELET_"))
    for name in sorted(name for name in ours if name.upper() not in known):
        meant = difflib.get_close_matches(name.upper(), known, n=1)
        faults.append(f"{name}: there is no such setting." + (f" Did you mean {meant[0]}?" if meant else ""))
    return faults
