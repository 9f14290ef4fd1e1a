"""Parses catalog files."""

import tomllib
from dataclasses import MISSING, fields, replace
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from pipelet.domain.catalog import EDIT, TEXT, App, AppLimits, Catalog, FalId, ModelConfig, model_for
from pipelet.domain.errors import OperationalError

_Entry = TypeVar("_Entry", ModelConfig, AppLimits, App, FalId)
_Tables = dict[str, dict[str, dict[str, Any]]]


def _table(shape: type[Any], *left_out: str, **defaults: Any) -> type[BaseModel]:
    """Return the Pydantic model of a TOML table: the fields of a domain class, with their types and defaults."""
    hints = get_type_hints(shape)
    known = {field.name: defaults.get(field.name, field.default) for field in fields(shape)}
    columns: dict[str, Any] = {
        name: (hints[name], ... if default is MISSING else default)
        for name, default in known.items()
        if name not in left_out
    }
    return create_model(shape.__name__, __config__=ConfigDict(extra="forbid", strict=True), **columns)


_KINDS = "[apps.<name>], [models.<name>] and [fal_ids.<id>]"
_MODEL = _table(ModelConfig, "name")
_APP = _table(App, "name", "limits", model=None)
_LIMITS = _table(AppLimits)
_FAL_ID = _table(FalId, "name")


def parse(*documents: str) -> Catalog:
    """Read catalog documents. An entry in a later one replaces the fields that it names.

    Raises:
        OperationalError: not TOML, or a field or model that does not exist; the message names it.
    """
    tables: _Tables = {"models": {}, "apps": {}, "fal_ids": {}}
    for document in documents:
        _merge(tables, document)
    models = {
        name: _entry(ModelConfig, _MODEL, f"models.{name}", _inherited(tables["models"], name), name=name)
        for name in tables["models"]
    }
    for model in models.values():
        _check_edit_model(model, models)
    apps = {}
    for name, table in tables["apps"].items():
        limits = _entry(AppLimits, _LIMITS, f"apps.{name}.limits", table.pop("limits", {}))
        apps[name] = _entry(App, _APP, f"apps.{name}", table, name=name, limits=limits, model=None)
        _check_model(apps[name], models)
    text_models = {app.model for app in apps.values() if app.task == TEXT and app.model is not None}
    shared = text_models.pop() if len(text_models) == 1 else None
    sharing = frozenset(app.name for app in apps.values() if app.task == EDIT and app.model is None)
    if shared is not None:
        apps |= {name: replace(apps[name], model=model_for(EDIT, shared, models)) for name in sharing}
    return Catalog(apps, models, sharing, _fal_ids(tables["fal_ids"], apps, models))


def _fal_ids(
    tables: dict[str, dict[str, Any]], apps: dict[str, App], models: dict[str, ModelConfig]
) -> dict[str, FalId]:
    found = {}
    for name, table in tables.items():
        found[name] = fal_id = _entry(FalId, _FAL_ID, f'fal_ids."{name}"', table, name=name)
        if fal_id.app not in apps:
            raise OperationalError(
                f'Catalog entry fal_ids."{name}" names the app {fal_id.app!r}, which does not exist.'
            )
        if unknown := [each for each in fal_id.models if each not in models]:
            raise OperationalError(
                f'Catalog entry fal_ids."{name}" names the model {unknown[0]!r}, which has no entry in [models].'
            )
    return found


def _check_edit_model(model: ModelConfig, models: dict[str, ModelConfig]) -> None:
    if not model.edit_model:
        return
    where = f"Catalog entry models.{model.name} names the edit_model {model.edit_model!r}, which"
    if model.edit_model not in models:
        raise OperationalError(f"{where} has no entry in [models].")
    if not models[model.edit_model].supports(EDIT):
        raise OperationalError(
            f"{where} takes no input images: give that model max_input_images, or name another model."
        )


def _check_model(app: App, models: dict[str, ModelConfig]) -> None:
    if app.model is None:
        return
    where = f"Catalog entry apps.{app.name} names the model {app.model!r}, which"
    if app.model not in models:
        raise OperationalError(f"{where} has no entry in [models].")
    if not models[app.model].supports(app.task):
        why = "takes no input images: give that model max_input_images" if app.task == EDIT else "only edits images"
        raise OperationalError(f"{where} {why}, or name another model.")


def _inherited(entries: dict[str, dict[str, Any]], name: str, *, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of an entry, with those that it does not name from the entry that it is `like`."""
    entry = entries[name]
    like = entry.get("like")
    if not like:
        return entry
    if like not in entries:
        raise OperationalError(f"Catalog entry models.{name} is like {like!r}, which has no entry in [models].")
    if like in seen:
        raise OperationalError(f"Catalog entry models.{name} is like itself: {' → '.join((*seen, name, like))}.")
    return _inherited(entries, like, seen=(*seen, name)) | entry


def _merge(tables: _Tables, document: str) -> None:
    try:
        data = tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        raise OperationalError(f"The catalog is not valid TOML: {error}.") from error
    for kind, entries in data.items():
        if kind not in tables:
            raise OperationalError(f"The catalog has a table [{kind}]; only {_KINDS} exist.")
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                raise OperationalError(f"{kind}.{name} in the catalog must be a table: write [{kind}.{name}].")
            if not isinstance(entry.get("limits", {}), dict):
                raise OperationalError(f"{kind}.{name}.limits in the catalog must be a table: [{kind}.{name}.limits].")
            known = tables[kind].setdefault(name, {})
            limits = {**known.get("limits", {}), **entry.get("limits", {})}
            known |= {**entry, "limits": limits} if limits else entry


def _entry(shape: type[_Entry], table: type[BaseModel], where: str, values: dict[str, Any], **more: Any) -> _Entry:
    """Validate a table, and build the domain object with the fields that it names.

    Args:
        more: fields that are not read from the table.
    """
    values = {key: _with_tuples(value) for key, value in values.items()}
    try:
        table.model_validate(values)
        return shape(**(more | values))
    except ValidationError as error:
        raise OperationalError(f"Catalog entry {where} {_reasons(error.errors(), table)}.") from error
    except ValueError as error:
        raise OperationalError(f"Catalog entry {where}: {error}.") from error


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _reasons(errors: list[ErrorDetails], table: type[BaseModel]) -> str:
    if unknown := [str(error["loc"][0]) for error in errors if error["type"] == "extra_forbidden"]:
        return f"has unknown fields: {', '.join(sorted(unknown))}. Known: {', '.join(sorted(table.model_fields))}"
    if missing := [str(error["loc"][0]) for error in errors if error["type"] == "missing"]:
        return f"lacks {', '.join(missing)}"
    wrong = {str(error["loc"][0]): error for error in errors}  # one error for each item of a list
    return "is wrong: " + "; ".join(
        f"{name} {error['msg'].replace('Input should', 'must', 1)} (it is {error['input']!r})"
        for name, error in wrong.items()
    )
