"""The catalog, and which entry the fields of the chosen model come from."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import structlog

from pipelet.domain.catalog import Catalog, ModelConfig
from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings
from pipelet.system.processes import environment_without_secrets, module_path
from pipelet.wiring.catalog_parser import parse

log = structlog.get_logger()

_DEFAULTS = "any"
"""Name of the entry for models that the catalog does not know."""
_DESCRIPTION_TIMEOUT = 20.0


def read_catalog(settings: Settings) -> Catalog:
    """Merge the operator's catalog over the built-in one, and put the chosen model into the apps that follow it."""
    documents = [(files("pipelet") / "catalog.toml").read_text("utf-8")]
    if settings.catalog is not None:
        try:
            documents.append(settings.catalog.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise OperationalError(f"Reading the catalog {settings.catalog} failed: {error}.") from error
    catalog = parse(*documents)
    return _with_model(catalog, settings.model) if settings.model else catalog


def fetch_description(settings: Settings) -> None:
    """Fetch the files that a hub model is recognized by, unless they are on this machine.

    Without them the first start would use the default entry, and the second, with the files in the cache, the entry
    that the model is a copy of. Errors are left to the engine, which fetches the whole model and reports them.
    """
    choice = settings.model or ""
    if choice.count("/") != 1 or _folder_of(choice) or Path(choice).expanduser().exists():
        return
    if read_catalog(settings).models[choice].like != _DEFAULTS or importlib.util.find_spec("huggingface_hub") is None:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - our own module; in a process of its own, as its imports take memory
            [sys.executable, "-P", "-m", "pipelet.engine.diffusers.loading.hub", choice],
            timeout=_DESCRIPTION_TIMEOUT,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment_without_secrets(hub=True) | {"PYTHONPATH": module_path()},
            check=False,
        )


def models_of_workers(settings: Settings, catalog: Catalog) -> tuple[ModelConfig, ...]:
    """Return the models that workers with these settings load: those of all apps, or that of the chosen app alone.

    Raises:
        OperationalError: the catalog has no such app, or no model for it.
    """
    if not settings.worker_app:
        return tuple(map(catalog.models.__getitem__, catalog.served_models()))
    if settings.worker_app not in catalog.apps:
        raise OperationalError(f"The catalog has no app {settings.worker_app!r}; it has {', '.join(catalog.apps)}.")
    return (catalog.model_of(catalog.apps[settings.worker_app]),)


def model_of_worker(settings: Settings, catalog: Catalog) -> ModelConfig:
    """Return the only model of workers with these settings.

    Raises:
        OperationalError: the catalog has several models, and the settings do not choose one.
    """
    models = models_of_workers(settings, catalog)
    if len(models) > 1:
        # If we chose one, the requests of the others would wait.
        names = ", ".join(sorted(model.name for model in models))
        raise OperationalError(
            f"The catalog has apps of several models ({names}), and this needs one. Choose an app, such as "
            f"--app {catalog.apps_of(models[0].name)[0]}."
        )
    return models[0]


def apps_of_workers(settings: Settings, catalog: Catalog) -> tuple[str | None, ...]:
    """Return an app for each model that workers load: what a worker is told to load it; None for the only model."""
    models = models_of_workers(settings, catalog)
    return tuple(catalog.apps_of(model.name)[0] for model in models) if len(models) > 1 else (None,)


def log_model(settings: Settings, catalog: Catalog) -> None:
    """Log which entry the fields of a chosen folder or hub id come from."""
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
            "The catalog does not know this model, so these are the defaults of requests. To set others, add an entry "
            "[models.NAME] to a catalog of your own (PIPELET_CATALOG), with `source` and either `like`, the entry that "
            "this model is a copy of, or `num_inference_steps` and `guidance_scale`; choose it by its name."
        ),
    )


def _with_model(catalog: Catalog, choice: str) -> Catalog:
    if catalog.entry_for(choice) is None and "/" not in choice and not Path(choice).expanduser().exists():
        known = ", ".join(name for name in catalog.models if name != _DEFAULTS)
        raise OperationalError(
            f"The catalog has no model {choice!r}, and there is no folder of that name. The catalog has {known}; a "
            "hub model is named owner/name."
        )
    unpinned = catalog.entry_for(choice.partition("@")[0]) if choice.count("/") == 1 else None
    return catalog.with_model(choice, like=unpinned or _recognized(catalog, choice) or _DEFAULTS)


def _recognized(catalog: Catalog, choice: str) -> str | None:
    """Return the entry that `choice` is a copy of, if its folder is on this machine.

    A copy is recognized by the source that it was saved from, else by its pipeline and the shift of its scheduler, for
    entries that name a shift: models of one class may differ in nothing else, as distilled ones do.
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
    """Return the folder itself, or the newest cached snapshot of a hub id; None if neither is on this machine."""
    folder = Path(choice).expanduser()
    if not folder.is_dir() and choice.count("/") == 1:
        repository, _, revision = choice.partition("@")
        # Without huggingface_hub: the API has no engine, and must start in a second.
        home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
        cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
        folder = cache / f"models--{repository.replace('/', '--')}"
        named = folder / "refs" / (revision or "main")
        folder = folder / "snapshots" / (named.read_text("ascii").strip() if named.is_file() else revision or "main")
    return folder if folder.is_dir() else None


def _read(file: Path) -> dict[str, Any]:
    """Return a JSON object; empty if the file has none, which only the engine treats as an error."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
