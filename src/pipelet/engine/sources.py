"""Where a model's weights are."""

from importlib.resources import files

_PACKAGED = "package:"


def resolve(source: str) -> str:
    """The folder of a checkpoint that ships with Pipelet (`package:box`); a hub id or a folder as it is."""
    if not source.startswith(_PACKAGED):
        return source
    return str(files("pipelet.engine") / source.removeprefix(_PACKAGED))
