"""Reads the catalog, and finds the entry of the model that the settings choose."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import structlog

from pipelet.domain.catalog import EDIT, TEXT, App, Catalog, Limits, Model
from pipelet.domain.errors import Unusable
from pipelet.settings import Settings
from pipelet.system.processes import environment_without_secrets, module_path

log = structlog.get_logger()

_Entry = TypeVar("_Entry", Model, Limits, App)
_DEFAULTS = "any"
_DESCRIPTION_SECONDS = 20.0


def read_catalog(settings: Settings) -> Catalog:
    """Our entries, the operator's over them, and the chosen model in the apps that follow it."""
    documents = [(files("pipelet") / "catalog.toml").read_text("utf-8")]
    if settings.catalog is not None:
        try:
            documents.append(settings.catalog.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"The catalog {settings.catalog} cannot be read: {error}.") from error
    catalog = parse(*documents)
    return _with_model(catalog, settings.model) if settings.model else catalog


def fetch_description(settings: Settings) -> None:
    """Fetch what a model of the hub is recognized by, where it is not on this machine yet.

    Its first start would take the defaults otherwise, and its second, with the files in the cache, the entry that it is
    a copy of. Why the hub does not give it out is said by the engine, which fetches all of it.
    """
    choice = settings.model or ""
    if choice.count("/") != 1 or _folder_of(choice) or Path(choice).expanduser().exists():
        return
    if read_catalog(settings).models[choice].like != _DEFAULTS or importlib.util.find_spec("huggingface_hub") is None:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - our own module; in a process of its own, as its imports take memory
            [sys.executable, "-P", "-m", "pipelet.engine.hub", choice],
            timeout=_DESCRIPTION_SECONDS,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment_without_secrets(hub=True) | {"PYTHONPATH": module_path()},
            check=False,
        )


def log_model(settings: Settings, catalog: Catalog) -> None:
    """Tell the operator which entry the fields of a chosen folder or hub id are from."""
    model = catalog.models.get(settings.model or "")
    if model is None or model.source != model.name:  # it has an entry of its own
        return
    if model.like != _DEFAULTS:
        log.info("model.recognized", model=model.name, like=model.like)
        return
    log.warning(
        "model.defaults",
        model=model.name,
        num_inference_steps=model.num_inference_steps,
        guidance_scale=model.guidance_scale,
        advice=(
            "The catalog does not know this model, so requests that name no steps and no guidance get these. To set "
            "them, lay an entry [models.NAME] over the catalog (PIPELET_CATALOG), with `source` and either `like`, the "
            "entry that this is a copy of, or `num_inference_steps` and `guidance_scale`; choose it by its name."
        ),
    )


def _with_model(catalog: Catalog, choice: str) -> Catalog:
    if catalog.entry_for(choice) is None and "/" not in choice and not Path(choice).expanduser().exists():
        known = ", ".join(name for name in catalog.models if name != _DEFAULTS)
        raise Unusable(
            f"There is no model {choice!r} in the catalog, and no folder of that name. The catalog has {known}; a "
            "model of the hub is named owner/name."
        )
    unpinned = catalog.entry_for(choice.partition("@")[0]) if choice.count("/") == 1 else None
    return catalog.with_model(choice, like=unpinned or _recognized(catalog, choice) or _DEFAULTS)


def _recognized(catalog: Catalog, choice: str) -> str | None:
    """The entry of the model whose copy `choice` is, where its folder is on this machine.

    By where the copy was saved from, else by its pipeline and the shift of its scheduler, for entries that name one:
    models of one class may differ in nothing else, as distilled ones do.
    """
    folder = _folder_of(choice)
    index = _read(folder / "model_index.json") if folder is not None else {}
    if folder is None or not index:
        return None
    by_source = catalog.entry_for(str(index.get("_name_or_path") or ""))
    if by_source is not None:
        return by_source
    shift = _read(folder / "scheduler" / "scheduler_config.json").get("shift")
    alike = [
        name
        for name, model in catalog.models.items()
        if model.pipeline == index.get("_class_name")
        and not model.source.startswith("package:")
        and not model.like
        and model.scheduler_shift
        and model.scheduler_shift == shift
    ]
    return alike[0] if len(alike) == 1 else None


def _folder_of(choice: str) -> Path | None:
    """Of a folder itself, of a hub id its newest snapshot in the cache; None where it is not on this machine."""
    folder = Path(choice).expanduser()
    if not folder.is_dir() and choice.count("/") == 1:
        repository, _, revision = choice.partition("@")
        # Without huggingface_hub: the API alone has no engine, and starts in a second.
        home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
        cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
        folder = cache / f"models--{repository.replace('/', '--')}"
        named = folder / "refs" / (revision or "main")
        folder = folder / "snapshots" / (named.read_text("ascii").strip() if named.is_file() else revision or "main")
    return folder if folder.is_dir() else None


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, which is an error only for the engine."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def parse(*documents: str) -> Catalog:
    """Read catalog documents; an entry in a later one replaces the fields it names.

    Raises:
        Unusable: not TOML, or a field or reference that does not exist; the message names it.
    """
    tables: dict[str, dict[str, dict[str, Any]]] = {"models": {}, "apps": {}}
    for document in documents:
        _lay_over(tables, document)
    models = {
        name: _entry(Model, f"models.{name}", {"name": name, **_inherited(tables["models"], name)})
        for name in tables["models"]
    }
    apps = {}
    for name, entry in tables["apps"].items():
        limits = _entry(Limits, f"apps.{name}.limits", entry.pop("limits", {}))
        apps[name] = _entry(App, f"apps.{name}", {"name": name, "limits": limits, "model": None, **entry})
        _check_model(apps[name], models)
    drawing = {app.model for app in apps.values() if app.task == TEXT and app.model is not None}
    shared = drawing.pop() if len(drawing) == 1 else None
    sharing = frozenset(app.name for app in apps.values() if app.task == EDIT and app.model is None)
    if shared is not None and models[shared].can(EDIT):
        apps |= {name: replace(apps[name], model=shared) for name in sharing}
    return Catalog(apps, models, sharing)


def _check_model(app: App, models: dict[str, Model]) -> None:
    if app.model is None:
        return
    where = f"Catalog entry apps.{app.name} names the model {app.model!r}, which"
    if app.model not in models:
        raise Unusable(f"{where} has no entry in [models].")
    if not models[app.model].can(app.task):
        why = "takes no references: give that model max_references" if app.task == EDIT else "draws edits only"
        raise Unusable(f"{where} {why}, or name another model.")


def _inherited(entries: dict[str, dict[str, Any]], name: str, *, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of an entry, and of the one that it is `like` those that it does not name."""
    entry = entries[name]
    like = entry.get("like")
    if not like:
        return entry
    if like not in entries:
        raise Unusable(f"Catalog entry models.{name} is like {like!r}, which has no entry in [models].")
    if like in seen:
        raise Unusable(f"Catalog entry models.{name} is like itself: {' → '.join((*seen, name, like))}.")
    return _inherited(entries, like, seen=(*seen, name)) | entry


def _lay_over(tables: dict[str, dict[str, dict[str, Any]]], document: str) -> None:
    try:
        data = tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        raise Unusable(f"The catalog is not valid TOML: {error}.") from error
    for kind, entries in data.items():
        if kind not in tables:
            raise Unusable(f"The catalog has a table [{kind}]; it knows [apps.<name>] and [models.<name>] only.")
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                raise Unusable(f"{kind}.{name} in the catalog must be a table: write [{kind}.{name}].")
            known = tables[kind].setdefault(name, {})
            limits = {**known.get("limits", {}), **entry.get("limits", {})}
            known |= {**entry, "limits": limits} if limits else entry


def _entry(shape: type[_Entry], where: str, values: dict[str, Any]) -> _Entry:
    hints = get_type_hints(shape)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        known = ", ".join(sorted(hints))
        raise Unusable(f"Catalog entry {where} has unknown fields: {', '.join(unknown)}. Known: {known}.")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    for key, value in values.items():
        if not _fits(value, hints[key]):
            raise Unusable(f"Catalog entry {where}: {key} = {value!r} is of the wrong type.")
    try:
        return shape(**values)
    except TypeError as error:
        raise Unusable(f"Catalog entry {where} is incomplete: {error}.") from error
    except ValueError as error:
        raise Unusable(f"Catalog entry {where}: {error}.") from error


def _fits(value: object, hint: Any) -> bool:
    if hint == tuple[str, ...]:
        return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    if hint == tuple[int, ...]:
        return isinstance(value, tuple) and all(type(part) is int for part in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))
