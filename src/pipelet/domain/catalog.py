"""The apps and models Pipelet knows, as data. A new model is a new entry in `catalog.toml`, not new code."""

from dataclasses import dataclass, replace

from pipelet.domain import refining
from pipelet.domain.errors import Unusable
from pipelet.domain.image import ImageSpec
from pipelet.domain.sizes import Size, nearest, scaled_into, shrunk_to

TEXT, EDIT = "text-to-image", "image-edit"
_LARGEST_LOOK = 1024 * 1024
"""Pixels of a reference: what every pipeline that takes several would itself scale it down to."""

_LEAST_STRENGTH = 0.01


def _demand(condition: bool, demand: str) -> None:
    if not condition:
        raise ValueError(demand)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
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
    painter: str = "pipelet.engine.diffusers:DiffusersModel"
    """The class that draws, `module:Class`, of the shape of `engine/painter.py`."""
    dtype: str = "auto"
    """What the weights are loaded as: `bfloat16`, `float16` or `float32`; `auto` is `bfloat16`, but `float32` on a CPU
    or a GPU that has no instructions for it."""
    variant: str = ""
    """Of the files with weights, such as `fp16` for `model.fp16.safetensors`; empty takes those without a variant."""
    allow_pickle: bool = False
    """Whether weights may be read that are no safetensors. A pickle from a stranger could run code when it is read."""
    num_inference_steps: int = 28
    """Where a request names none."""
    guidance_scale: float = 4.0
    """Where a request names none; 0 turns guidance off, and halves the work."""
    size_multiple: int = 16
    """Sides that are no multiple are drawn at the next larger one and cropped, centred."""
    native_sizes: tuple[str, ...] = ()
    """All sizes it was trained for, such as `384x256`. Others are drawn at the one of the nearest aspect ratio, and
    resampled."""
    native_pixels: tuple[int, ...] = ()
    """The smallest and the largest area it was trained for, at any aspect ratio. What is smaller or larger is drawn at
    the nearer end, and resampled."""
    refine_strength: float = 0.0
    """Where a picture is scaled up, how much of it a second pass draws anew, image-to-image at the size asked for; 0
    leaves that pass out. Higher adds more detail, and sooner things that are not in the picture."""
    max_references: int = 0
    """Pictures that an edit may start from; 0: it draws no edits."""
    needs_references: bool = False
    """Whether it draws edits only, as the edit pipelines of Qwen-Image do."""
    edit_pipeline: str = ""
    """The diffusers class that draws edits with the same weights, such as `ZImageImg2ImgPipeline`; empty where
    `pipeline` itself takes references."""
    strength: float = 0.0
    """How much of its reference an edit draws anew, where a request does not say; 0: the model takes no strength, it
    goes by the prompt alone."""
    max_prompt_tokens: int | None = None
    """Past it, the pipeline would cut the prompt silently or fail; None takes what the tokenizers of the model say."""
    long_prompts: str = "refuse"
    """What becomes of a prompt past `max_prompt_tokens`: `refuse` fails the request with both numbers, `cut` draws as
    many of its first words as fit."""
    reserved_text: tuple[str, ...] = ()
    """Marks of the chat template. A prompt that holds one could break out of it, so it is refused."""
    megapixels_per_run: float = 8.0
    """What one run of the pipeline may hold; larger batches are drawn in parts."""
    attribution: str = ""
    """Whose work it is, and its licence."""

    def __post_init__(self) -> None:
        _demand(self.num_inference_steps >= 1, "num_inference_steps must be at least 1")
        _demand(self.guidance_scale >= 0, "guidance_scale must not be negative")
        _demand(self.size_multiple >= 1, "size_multiple must be at least 1")
        _demand(not (self.native_sizes and self.native_pixels), "name native_sizes or native_pixels, not both")
        for size in self._native_sizes():
            _demand(
                size == size.rounded_up(self.size_multiple),
                f"the native size {size} is no multiple of size_multiple, {self.size_multiple}",
            )
        if self.native_pixels:
            _demand(len(self.native_pixels) == 2, "native_pixels must be the smallest and the largest area")
            low, high = self.native_pixels
            # In a narrower range, some aspect ratio would find no multiples.
            _demand(1 <= low <= high / 4, "the second of native_pixels must be at least four times the first")
        _demand(0 <= self.refine_strength < 1, "refine_strength must be at least 0 and below 1")
        _demand(
            self.refine_strength == 0 or bool(self.native_sizes or self.native_pixels),
            "refine_strength needs native_sizes or native_pixels: what is drawn at the size asked for is not refined",
        )
        _demand(self.max_references >= 0, "max_references must not be negative")
        _demand(0 <= self.strength <= 1, "strength must be at least 0 and at most 1")
        _demand(
            self.max_references > 0 or not (self.edit_pipeline or self.strength),
            "edit_pipeline and strength need max_references: they are for edits",
        )
        _demand(
            not self.needs_references or self.max_references > 0, "needs_references needs max_references, at least 1"
        )
        _demand(
            not (self.needs_references and self.edit_pipeline),
            "with an edit_pipeline beside it, pipeline draws from text alone; leave needs_references out",
        )
        _demand(self.long_prompts in ("refuse", "cut"), "long_prompts must be refuse or cut")
        _demand(self.megapixels_per_run > 0, "megapixels_per_run must be positive")

    def can(self, task: str) -> bool:
        return self.max_references > 0 if task == EDIT else not self.needs_references

    def drawn(self, spec: ImageSpec) -> ImageSpec:
        """`spec` at the size that the model draws it at: as it is where the model was trained for that."""
        drawn = self._drawn_at(spec.size)
        return replace(spec, width=drawn.width, height=drawn.height)

    def draw_steps(self, spec: ImageSpec) -> int:
        """Of the pass that draws: fewer than `spec` says where an edit keeps some of its reference."""
        strength = self.strength_of(spec)
        if strength is None:
            return spec.num_inference_steps
        return refining.steps_taken(spec.num_inference_steps, strength)

    def strength_of(self, spec: ImageSpec) -> float | None:
        """How much of the reference is drawn anew; None where there is none, or the model goes by the prompt alone."""
        if self.strength == 0 or not spec.references:
            return None
        return self.strength if spec.strength is None else max(spec.strength, _LEAST_STRENGTH)

    def looked_at(self, spec: ImageSpec) -> tuple[Size, ...]:
        """The sizes at which the references of `spec` are shown to the model."""
        if self.strength > 0:  # what is drawn begins as a reference
            return (self.drawn(spec).size,) * len(spec.references)
        return tuple(shrunk_to(each.size, _LARGEST_LOOK) for each in spec.references)

    def megapixels_held(self, spec: ImageSpec) -> float:
        """By one image of `spec`, of the `megapixels_per_run`: references are held beside what is drawn, unless it
        begins as one of them."""
        held = self.handed_over(spec).megapixels
        return held if self.strength > 0 else held + sum(size.megapixels for size in self.looked_at(spec))

    def refine_steps(self, spec: ImageSpec) -> int:
        """Of the second pass over what was drawn; 0 where there is none."""
        if self.refine_strength == 0 or self.drawn(spec).megapixels >= spec.megapixels:
            return 0
        return refining.steps_taken(spec.num_inference_steps, self.refine_strength)

    def handed_over(self, spec: ImageSpec) -> ImageSpec:
        """`spec` at the size that leaves the engine: that of its last pass."""
        return spec if self.refine_steps(spec) else self.drawn(spec)

    def _drawn_at(self, asked: Size) -> Size:
        whole = asked.rounded_up(self.size_multiple)
        if self.native_sizes:
            sizes = self._native_sizes()
            return asked if whole in sizes else nearest(asked, sizes)
        if self.native_pixels:
            low, high = self.native_pixels
            return asked if low <= whole.pixels <= high else scaled_into(asked, (low, high), self.size_multiple)
        return asked

    def _native_sizes(self) -> tuple[Size, ...]:
        return tuple(map(Size.parse, self.native_sizes))


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

    def __post_init__(self) -> None:
        sides = self.min_side, self.default_side, self.max_side
        _demand(1 <= sides[0] <= sides[1] <= sides[2], "1 <= min_side <= default_side <= max_side must hold")
        _demand(
            min(self.max_batch, self.max_steps, self.max_prompt_chars) >= 1, "what may be asked for must be at least 1"
        )
        _demand(self.max_guidance >= 0, "max_guidance must not be negative")
        _demand(self.max_body_bytes >= 1024, "max_body_bytes must be at least 1024")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A name under `/fal/queue/` and what answers there."""

    name: str
    task: str
    """`text-to-image` or `image-edit`."""
    model: str | None
    """Catalog name of its model. An image-edit app that names none shares that of the text-to-image apps, where they
    have one and it takes references. Without a model its requests can be read, not made."""
    limits: Limits = Limits()
    title: str = ""
    """For people."""

    def __post_init__(self) -> None:
        _demand(self.task in (TEXT, EDIT), f"task must be {TEXT} or {EDIT}")

    @property
    def is_served(self) -> bool:
        return self.model is not None


@dataclass(frozen=True, slots=True)
class Catalog:
    apps: dict[str, App]
    models: dict[str, Model]
    sharing: frozenset[str] = frozenset()
    """The image-edit apps that name no model of their own."""

    def model_of(self, app: App) -> Model:
        if app.model is None:
            raise Unusable(f"The app {app.name} has no model.")
        return self.models[app.model]

    def served_apps(self) -> tuple[str, ...]:
        return tuple(app.name for app in self.apps.values() if app.is_served)

    def apps_of(self, model: str) -> tuple[str, ...]:
        """The apps that a model draws: their requests wait for the same workers."""
        return tuple(app.name for app in self.apps.values() if app.model == model)

    def entry_for(self, choice: str) -> str | None:
        """The name of the entry that `choice` names, by its name or its source."""
        if choice in self.models:
            return choice
        return next((name for name, model in self.models.items() if choice and model.source == choice), None)

    def with_model(self, choice: str, *, like: str = "any") -> "Catalog":
        """Serve `choice`, a name or a source in this catalog, else a hub id or a folder with the fields of the entry
        `like`, in every app that names no model of its own and every text-to-image app. Those that it cannot serve are
        served by nothing.

        Raises:
            Unusable: it can serve none of them.
        """
        models, chosen = self.models, self.entry_for(choice)
        if chosen is None:
            chosen = choice
            models = models | {choice: replace(self.models[like], name=choice, source=choice, like=like)}
        apps = {}
        for name, app in self.apps.items():
            follows = name in self.sharing or (app.task == TEXT and app.is_served)
            apps[name] = replace(app, model=chosen if models[chosen].can(app.task) else None) if follows else app
        catalog = Catalog(apps, models, self.sharing)
        if not catalog.apps_of(chosen):
            raise Unusable(f"The model {choice} draws edits only, and the catalog has no image-edit app for it.")
        return catalog
