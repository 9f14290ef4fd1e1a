"""The apps and models Pipelet knows, as data. A new model is a new entry in `catalog.toml`, not new code."""

import tomllib
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from pipelet.domain.errors import Unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A diffusers pipeline and how to call it."""

    name: str
    source: str
    """A hub id, a folder, or `package:<name>` for a checkpoint that ships with Pipelet."""
    pipeline: str = "auto"
    """A diffusers class name; `auto` takes what the checkpoint's `model_index.json` names."""
    painter: str = "pipelet.engine.diffusers:DiffusersModel"
    """The class that draws, `module:Class`, of the shape of `engine/painter.py`."""
    dtype: str = "bfloat16"
    """torch's name of the type the weights are loaded as."""
    num_inference_steps: int = 28
    """Where a request names none."""
    guidance_scale: float = 4.0
    """Where a request names none; 0 turns guidance off, and halves the work."""
    size_multiple: int = 16
    """Sides that are no multiple are drawn at the next larger one and cropped, centred."""
    max_prompt_tokens: int | None = None
    """Past it, the pipeline would cut the prompt silently or fail; None leaves the length to the pipeline."""
    reserved_text: tuple[str, ...] = ()
    """Marks of the chat template. A prompt that holds one could break out of it, so it is refused."""
    megapixels_per_run: float = 8.0
    """What one run of the pipeline may hold; larger batches are drawn in parts."""
    attribution: str = ""
    """Whose work it is, and its licence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an app accepts."""

    max_prompt_chars: int = 4000
    """Of the prompt, and of the negative prompt."""
    min_side: int = 64
    """Pixels, of width and height each."""
    max_side: int = 4096
    """Pixels, of width and height each."""
    default_side: int = 1024
    """Pixels; a side that a request does not name."""
    max_batch: int = 16
    """Images of one request."""
    max_steps: int = 100
    """Denoising steps."""
    max_guidance: float = 20.0
    """Guidance scale."""
    max_body_bytes: int = 1024 * 1024
    """Of a submit; more is refused unread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A name under `/fal/queue/` and what answers there."""

    name: str
    task: str
    """`text-to-image` or `image-edit`."""
    model: str | None
    """Catalog name of its model; None while nothing serves the app: its requests can be read, not made."""
    limits: Limits = Limits()
    title: str = ""
    """For people."""

    @property
    def is_served(self) -> bool:
        return self.model is not None


@dataclass(frozen=True, slots=True)
class Catalog:
    apps: dict[str, App]
    models: dict[str, Model]

    def model_of(self, app: App) -> Model:
        if app.model is None:
            raise Unusable(f"The app {app.name} has no model.")
        return self.models[app.model]

    def served_apps(self) -> tuple[str, ...]:
        return tuple(app.name for app in self.apps.values() if app.is_served)

    def with_model(self, choice: str) -> "Catalog":
        """Serve `choice` in every text-to-image app: a name in this catalog, else a hub id or a folder."""
        models = self.models
        if choice not in models:
            models = models | {choice: replace(self.models["any"], name=choice, source=choice)}
        apps = {
            name: replace(app, model=choice) if app.task == "text-to-image" and app.is_served else app
            for name, app in self.apps.items()
        }
        return Catalog(apps, models)


def parse(*documents: str) -> Catalog:
    """Read catalog documents; an entry in a later one replaces the fields it names.

    Raises:
        Unusable: not TOML, or a field or reference that does not exist; the message names it.
    """
    models: dict[str, dict[str, Any]] = {}
    apps: dict[str, dict[str, Any]] = {}
    for document in documents:
        try:
            data = tomllib.loads(document)
        except tomllib.TOMLDecodeError as error:
            raise Unusable(f"The catalog is not valid TOML: {error}.") from error
        for name, entry in data.get("models", {}).items():
            models.setdefault(name, {}).update(entry)
        for name, entry in data.get("apps", {}).items():
            apps.setdefault(name, {}).update(entry)
    parsed_models = {name: _entry(Model, f"models.{name}", name=name, **entry) for name, entry in models.items()}
    parsed_apps = {}
    for name, entry in apps.items():
        limits = _entry(Limits, f"apps.{name}.limits", **entry.pop("limits", {}))
        app = _entry(App, f"apps.{name}", name=name, limits=limits, **{"model": None, **entry})
        if app.model is not None and app.model not in parsed_models:
            raise Unusable(f"Catalog entry apps.{name} names the model {app.model!r}, which has no entry in [models].")
        parsed_apps[name] = app
    return Catalog(parsed_apps, parsed_models)


_Entry = TypeVar("_Entry", Model, Limits, App)


def _entry(shape: type[_Entry], where: str, **values: Any) -> _Entry:
    known = {field.name for field in fields(shape)}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise Unusable(
            f"Catalog entry {where} has unknown fields: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return shape(**values)
    except TypeError as error:
        raise Unusable(f"Catalog entry {where} is incomplete: {error}.") from error
