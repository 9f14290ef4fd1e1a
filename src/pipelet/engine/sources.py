"""Resolves the `source` of a model."""

from importlib.resources import files

_PACKAGED = "package:"


def resolve(source: str) -> str:
    """Return the folder of a checkpoint that ships with Pipelet (`package:demo`); a hub id or a folder unchanged."""
    if not source.startswith(_PACKAGED):
        return source
    return str(files("pipelet.engine") / f"{source.removeprefix(_PACKAGED)}_model")
