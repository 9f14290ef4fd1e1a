"""The apps and models Pipelet knows, as data. A new model is a new entry in `catalog.toml`, not new code."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipelet.domain.errors import OperationalError
from pipelet.domain.generation.sizes import Size

TEXT, EDIT = "text-to-image", "image-edit"
_MIN_INPUT_SIDE = 64
"""Pixels: pipelines scale smaller input images up."""

RESERVED_OWNERS = ("run", "queue", "proxy", "rest", "cdn")
"""First parts of our own paths under `/fal/`, which no id of fal's may begin with."""
_FAL_ID = re.compile(r"[a-z0-9][a-z0-9._-]*(/(?!requests(/|$))[a-z0-9][a-z0-9._-]*)+")


def _require(condition: bool, requirement: str) -> None:
    if not condition:
        raise ValueError(requirement)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A diffusers pipeline and how to call it."""

    name: str
    source: str
    """A hub id, a folder, or `package:<name>` for a checkpoint that ships with Pipelet. A hub id may end in a branch, a
    tag or a commit: `owner/name@revision`."""
    like: str = ""
    """Another entry, whose fields hold where this one names none."""
    scheduler_shift: float = 0.0
    """The `shift` of its scheduler, which tells a folder of this model from others of its pipeline; 0: it is not told
    by that."""
    pipeline: str = "auto"
    """A diffusers class name; `auto` takes what the checkpoint's `model_index.json` names."""
    backend: str = "pipelet.engine.diffusers.backend:DiffusersBackend"
    """The class that generates, `module:Class`, as `engine/backend.py` describes it."""
    dtype: str = "auto"
    """What the weights are loaded as: `bfloat16`, `float16` or `float32`; `auto` is `bfloat16`, but `float32` on a CPU
    or a GPU that has no instructions for it."""
    variant: str = ""
    """Variant of the weights, such as `fp16` for `model.fp16.safetensors`; empty takes files without a variant."""
    allow_pickle: bool = False
    """Whether weights other than safetensors may be read. Reading a pickle can run code of its author."""
    num_inference_steps: int = 28
    """Where a request names none."""
    guidance_scale: float = 4.0
    """Where a request names none; 0 turns guidance off, and halves the work."""
    size_multiple: int = 16
    """Other sides are generated at the next larger multiple and cropped, centred."""
    native_sizes: tuple[str, ...] = ()
    """All sizes it was trained for, such as `384x256`. Others are generated at the one of the nearest aspect ratio, and
    resampled."""
    native_pixels: tuple[int, ...] = ()
    """The smallest and the largest area it was trained for, at any aspect ratio. Smaller or larger images are
    generated at the nearer end, and resampled."""
    refine_strength: float = 0.0
    """Share of an upscaled image that a second pass generates again, image-to-image at the requested size; 0 leaves it
    out. Higher adds more detail, and sooner things that are not in the image."""
    max_input_images: int = 0
    """Maximum input images of an edit; 0: the model does not edit."""
    requires_input_image: bool = False
    """Whether it only edits, as the edit pipelines of Qwen-Image do."""
    edit_pipeline: str = ""
    """The diffusers class that edits with the same weights, such as `ZImageImg2ImgPipeline`; empty where
    `pipeline` itself takes input images."""
    input_image_size: str = ""
    """The size at which it reads input images, such as `128x128`: others are scaled to fit inside, and padded with the
    colour of their border. Empty: each keeps its shape, and is scaled down to a megapixel where it is larger."""
    edit_model: str = ""
    """Another entry, whose model serves the image-edit apps that name no model of their own. Empty: this one does,
    where it takes input images."""
    strength: float = 0.0
    """Share of its input image that an edit generates again, unless a request says otherwise; 0: the model takes no
    strength, the prompt alone decides."""
    max_prompt_tokens: int | None = None
    """Past it, the pipeline would cut the prompt silently or fail; None takes what the tokenizers of the model say."""
    prompt_overflow: str = "error"
    """What happens to a prompt past `max_prompt_tokens`: `error` fails the request with both numbers, `truncate` keeps
    as many of its first words as fit."""
    special_tokens: tuple[str, ...] = ()
    """Marks of the chat template. A prompt that holds one could break out of it, so it is refused."""
    max_megapixels_per_batch: float = 8.0
    """Maximum megapixels of one pipeline call; larger batches are split into micro-batches."""
    preview_map: tuple[tuple[float, ...], ...] = ()
    """Colours of the latents, for previews: a row for each channel, and one to add. A row has red, green and blue, from
    0 to 1, of one pixel, or of 2 x 2 or more. Empty: no previews, unless `preview_decoder` makes them."""
    preview_decoder: str = ""
    """A small decoder of the latents for sharper previews, an `AutoencoderTiny` of diffusers: a hub id or a folder. It
    takes more of the device's time than `preview_map`, whose place it takes."""
    attribution: str = ""
    """Its authors and its licence."""
    about: str = ""
    """What a person who writes prompts for it must know, in a few sentences; forms show it."""
    vocabulary: tuple[str, ...] = ()
    """Everything that it can generate, if that is little; forms show it. Empty: it takes any prompt."""

    def __post_init__(self) -> None:
        _require(self.num_inference_steps >= 1, "num_inference_steps must be at least 1")
        _require(self.guidance_scale >= 0, "guidance_scale must not be negative")
        _require(self.size_multiple >= 1, "size_multiple must be at least 1")
        _require(not (self.native_sizes and self.native_pixels), "name native_sizes or native_pixels, not both")
        for size in map(Size.parse, self.native_sizes):
            _require(
                size == size.rounded_up(self.size_multiple),
                f"the native size {size} is no multiple of size_multiple, {self.size_multiple}",
            )
        if self.native_pixels:
            _require(len(self.native_pixels) == 2, "native_pixels must be the smallest and the largest area")
            low, high = self.native_pixels
            # In a narrower range, some aspect ratio would find no multiples.
            _require(1 <= low <= high / 4, "the second of native_pixels must be at least four times the first")
        _require(0 <= self.refine_strength < 1, "refine_strength must be at least 0 and below 1")
        _require(
            self.refine_strength == 0 or bool(self.native_sizes or self.native_pixels),
            "refine_strength needs native_sizes or native_pixels: an image of the requested size is not refined",
        )
        _require(self.max_input_images >= 0, "max_input_images must not be negative")
        _require(0 <= self.strength <= 1, "strength must be at least 0 and at most 1")
        _require(
            self.max_input_images > 0 or not (self.edit_pipeline or self.strength),
            "edit_pipeline and strength need max_input_images: they are for edits",
        )
        _require(
            not self.requires_input_image or self.max_input_images > 0,
            "requires_input_image needs max_input_images, at least 1",
        )
        _require(
            not (self.requires_input_image and self.edit_pipeline),
            "with an edit_pipeline, pipeline generates from text alone; leave requires_input_image out",
        )
        if self.input_image_size:
            self._check_input_image_size()
        _require(self.prompt_overflow in ("error", "truncate"), "prompt_overflow must be error or truncate")
        _require(self.max_megapixels_per_batch > 0, "max_megapixels_per_batch must be positive")
        if self.preview_map:
            numbers = len(self.preview_map[0])
            _require(
                len(self.preview_map) >= 2
                and numbers == 3 * max(1, math.isqrt(numbers // 3)) ** 2
                and all(len(row) == numbers for row in self.preview_map),
                "preview_map must have a row for each channel and one more, each of 3, 12, 27 or 48 numbers",
            )

    def _check_input_image_size(self) -> None:
        _require(
            self.max_input_images > 0 and self.strength == 0,
            "input_image_size needs max_input_images, and no strength: an image that is generated over gets the size "
            "that is generated",
        )
        size = Size.parse(self.input_image_size)
        _require(
            size == size.rounded_up(self.size_multiple) and min(size.width, size.height) >= _MIN_INPUT_SIDE,
            f"the sides of input_image_size must be multiples of size_multiple, {self.size_multiple}, and at least "
            f"{_MIN_INPUT_SIDE} pixels",
        )

    def supports(self, task: str) -> bool:
        return self.max_input_images > 0 if task == EDIT else not self.requires_input_image


@dataclass(frozen=True, slots=True, kw_only=True)
class AppLimits:
    """What an app accepts."""

    max_prompt_chars: int = 4000
    """Maximum characters of the prompt, and of the negative prompt."""
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
    """Maximum bytes of a submit; more is refused unread."""

    def __post_init__(self) -> None:
        sides = self.min_side, self.default_side, self.max_side
        _require(1 <= sides[0] <= sides[1] <= sides[2], "1 <= min_side <= default_side <= max_side must hold")
        _require(
            min(self.max_batch, self.max_steps, self.max_prompt_chars) >= 1, "what may be asked for must be at least 1"
        )
        _require(self.max_guidance >= 0, "max_guidance must not be negative")
        _require(self.max_body_bytes >= 1024, "max_body_bytes must be at least 1024")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A name under `/fal/queue/` and what answers there."""

    name: str
    task: str
    """`text-to-image` or `image-edit`."""
    model: str | None
    """Catalog name of its model. An image-edit app that names none shares that of the text-to-image apps, where they
    have one and it takes input images, or has its `edit_model`. Without a model its requests can be read, but not
    submitted."""
    limits: AppLimits = AppLimits()
    title: str = ""
    """For people."""
    openai_models: tuple[str, ...] = ()
    """Names of models in OpenAI's API that it stands for. `*` stands for any characters; a name without one is listed
    in `/v1/models`."""

    def __post_init__(self) -> None:
        _require(self.task in (TEXT, EDIT), f"task must be {TEXT} or {EDIT}")

    @property
    def is_served(self) -> bool:
        return self.model is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FalId:
    """An id of fal's that is served here with fal's own input and output, such as `fal-ai/z-image/turbo`."""

    name: str
    app: str
    """The app that generates for it."""
    models: tuple[str, ...] = ()
    """Models that it stands for, by catalog name; those that are `like` one count as it. The id is served where the
    model of its app is one of them; empty: any model."""
    takes_guidance: bool = False
    """Whether `guidance_scale` and `negative_prompt` are among its fields. Otherwise they are ignored, as fal does."""
    num_inference_steps: int | None = None
    """Where a request names none; empty takes the model's."""
    guidance_scale: float | None = None
    """Where a request names none; empty takes the model's."""
    strength: float | None = None
    """Where a request for an image-edit app names none; empty takes the model's."""

    def __post_init__(self) -> None:
        _require(
            _FAL_ID.fullmatch(self.name) is not None,
            "an id must be an owner and a name, such as fal-ai/z-image/turbo, in lower case",
        )
        owner = self.name.partition("/")[0]
        _require(
            owner not in RESERVED_OWNERS,
            f"the owner must not be {owner}: {', '.join(RESERVED_OWNERS)} are paths of this service",
        )

    @property
    def base(self) -> str:
        """Its owner and the first part of its name: where its requests are read."""
        return "/".join(self.name.split("/")[:2])


def model_for(task: str, chosen: str, models: Mapping[str, ModelConfig]) -> str | None:
    """Return the model that serves the apps of `task` that follow the model `chosen`; None where there is none."""
    name = chosen
    if task == EDIT:
        name = models[chosen].edit_model or chosen
    return name if models[name].supports(task) else None


@dataclass(frozen=True, slots=True)
class Catalog:
    apps: dict[str, App]
    models: dict[str, ModelConfig]
    sharing: frozenset[str] = frozenset()
    """The image-edit apps that name no model of their own."""
    fal_ids: Mapping[str, FalId] = field(default_factory=dict)

    def model_of(self, app: App) -> ModelConfig:
        if app.model is None:
            raise OperationalError(f"The app {app.name} has no model.")
        return self.models[app.model]

    def served_apps(self) -> tuple[str, ...]:
        return tuple(app.name for app in self.apps.values() if app.is_served)

    def apps_for(self, task: str) -> list[App]:
        """Return the apps for a task that take requests."""
        return [app for app in self.apps.values() if app.task == task and app.is_served]

    def apps_of(self, model: str) -> tuple[str, ...]:
        """Return the apps of a model: their requests wait for the same workers."""
        return tuple(app.name for app in self.apps.values() if app.model == model)

    def served_fal_ids(self) -> tuple[FalId, ...]:
        """Return the ids of fal's whose app has a model that they stand for."""
        return tuple(each for each in self.fal_ids.values() if self._serves(each))

    def _serves(self, fal_id: FalId) -> bool:
        app = self.apps[fal_id.app]
        return app.is_served and (not fal_id.models or bool(self._lineage(self.model_of(app)) & {*fal_id.models}))

    def _lineage(self, model: ModelConfig) -> set[str]:
        """Return the name of a model, and of all entries that it is like."""
        names = {model.name}
        while model.like and model.like not in names:
            names.add(model.like)
            model = self.models[model.like]
        return names

    def entry_for(self, choice: str) -> str | None:
        """The name of the entry that `choice` names, by its name or its source."""
        if choice in self.models:
            return choice
        return next((name for name, model in self.models.items() if choice and model.source == choice), None)

    def served_models(self) -> tuple[str, ...]:
        """Return the models of the apps, each once."""
        return tuple(dict.fromkeys(app.model for app in self.apps.values() if app.model is not None))

    def with_model(self, choice: str, *, like: str = "any") -> "Catalog":
        """Serve `choice`, a name or a source in this catalog, else a hub id or a folder with the fields of the entry
        `like`, in every app that names no model of its own and every text-to-image app. Those that it cannot serve are
        served by nothing.

        Raises:
            OperationalError: it can serve none of them.
        """
        models, chosen = self.models, self.entry_for(choice)
        if chosen is None:
            chosen = choice
            models = models | {choice: replace(self.models[like], name=choice, source=choice, like=like)}
        apps = {}
        for name, app in self.apps.items():
            follows = name in self.sharing or (app.task == TEXT and app.is_served)
            apps[name] = replace(app, model=model_for(app.task, chosen, models)) if follows else app
        catalog = Catalog(apps, models, self.sharing, self.fal_ids)
        if not catalog.apps_of(chosen):
            raise OperationalError(f"The model {choice} only edits, and the catalog has no image-edit app for it.")
        return catalog
