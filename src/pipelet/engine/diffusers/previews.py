"""Previews: what an image will look like, estimated from the latents after a step.

A sampler of the Euler kind goes straight from noise towards its current estimate of the final latents, as far as the
noise levels say. So two latents that follow each other, and their noise levels, give that estimate: no forward pass, no
name inside a pipeline. From the estimate to colours it is a linear map, or a small decoder.
"""

import traceback
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers import AutoencoderTiny
from huggingface_hub.errors import HfHubHTTPError

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import ModelLoadError
from pipelet.domain.generation.preview import MAX_SIDE
from pipelet.engine.backend import Previews
from pipelet.engine.diffusers.loading.hub import split

_STRAIGHT = ("FlowMatchEulerDiscreteScheduler", "EulerDiscreteScheduler")
"""Schedulers whose steps go straight towards their estimate. Latents of others say less about it."""
_MAX_DECODED_SIDE = 64
"""Latents of the longer side that a decoder gets: at 8 pixels a latent it makes twice as many pixels as are shown."""
_PACKED = 2
"""Rows and columns of latents in a token, where a pipeline packs latents into tokens."""


class Renderer(Protocol):
    """Makes an image of latents."""

    channels: int
    """Channels of the latents."""

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """Return values from 0 to 1, shape (3, height, width), for latents of the shape (channels, height, width)."""


class LinearMap:
    """
    Args:
        rows: the `preview_map` of a model.
    """

    def __init__(self, rows: tuple[tuple[float, ...], ...], device: torch.device) -> None:
        *weights, offset = rows
        self.channels = len(weights)
        self._side = round((len(offset) / 3) ** 0.5)
        self._weights = torch.tensor(weights, device=device).T.contiguous()
        self._offset = torch.tensor(offset, device=device)[:, None]

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        if self._side * max(latents.shape[1:]) > MAX_SIDE:
            latents = _shrink(latents, MAX_SIDE // self._side)
        height, width = latents.shape[1:]
        colours = torch.addmm(self._offset, self._weights, latents.reshape(self.channels, -1))
        return torch.pixel_shuffle(colours.view(-1, height, width), self._side)


class TinyDecoder:
    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self.channels: int = decoder.config.latent_channels

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        config = self._decoder.config
        scaled = _shrink(latents, _MAX_DECODED_SIDE) / config.scaling_factor + config.shift_factor
        image = self._decoder.decode(scaled[None].to(self._decoder.dtype), return_dict=False)[0][0].float()
        return (_shrink(image, MAX_SIDE) + 1) / 2


def renderer_of(pipe: Any, model: ModelConfig, device: torch.device) -> Renderer | None:
    """Return what makes previews of the latents of `pipe`; None where the catalog names nothing that does, and where a
    safety checker looks at the images.

    Raises:
        ModelLoadError: the decoder that the catalog names cannot be loaded, or is for other latents.
    """
    made: Renderer
    if getattr(pipe, "safety_checker", None) is not None:
        return None  # what the checker would black out must not be shown before
    if model.preview_decoder:
        made = TinyDecoder(_load_decoder(model).to(device, pipe.dtype))
    elif model.preview_map:
        made = LinearMap(model.preview_map, device)
    else:
        return None
    config = getattr(getattr(pipe, "vae", None), "config", {})
    channels = config.get("latent_channels") or config.get("z_dim")
    if channels not in (None, made.channels):
        field = "preview_decoder" if model.preview_decoder else "preview_map"
        raise ModelLoadError(
            f"The {field} of the model in the catalog is for latents of {made.channels} channels, and its have "
            f"{channels}. Take it out, or fit one for this model (docs/models/previews.md)."
        )
    return made


def _load_decoder(model: ModelConfig) -> Any:
    repository, revision = split(model.preview_decoder)
    safetensors = None if model.allow_pickle else True
    try:
        return AutoencoderTiny.from_pretrained(repository, revision=revision, use_safetensors=safetensors)
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ModelLoadError(
            f"The preview_decoder {model.preview_decoder} cannot be loaded: {error} Name an AutoencoderTiny, as a "
            "folder or a hub id, or take it out of the catalog."
        ) from error


class StepPreviews:
    """The previews of one generation, of its images in turn.

    Args:
        previews: takes them.
        first: number of the first image.
    """

    def __init__(self, renderer: Renderer, previews: Previews, *, first: int) -> None:
        self._renderer = renderer
        self._previews = previews
        self._first = first
        self._size = 0, 0
        self._before: torch.Tensor | None = None
        self._made = 0
        self._on_its_way: _OnItsWay | None = None
        self._has_failed = False

    def begin_pass(self, width: int, height: int) -> None:
        """Begin to generate images of this size in pixels."""
        self._size = width, height
        self._before = None

    def after_step(self, scheduler: Any, latents: torch.Tensor, step: int) -> None:
        """Take the latents after a step; make a preview if one is due. `step` counts those that are done."""
        before, self._before = self._before, latents
        if self._has_failed:
            return
        try:
            if self._on_its_way is not None:
                self._deliver()
            elif before is not None and self._previews.is_due:
                self._make(scheduler, before, latents, step)
        except Exception:  # noqa: BLE001 - a preview, such as one for which memory is short, fails no image
            self._has_failed = True
            traceback.print_exc()

    def _make(self, scheduler: Any, before: torch.Tensor, latents: torch.Tensor, step: int) -> None:
        number = self._made % latents.shape[0]
        estimate = estimate_final(scheduler, before[number], latents[number])
        if estimate is None or (unpacked := _unpacked(estimate, *self._size, self._renderer.channels)) is None:
            return
        self._made += 1
        colours = self._renderer(unpacked).clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
        self._on_its_way = _OnItsWay.send(colours.contiguous(), self._first + number, step)
        self._deliver()

    def _deliver(self) -> None:
        if (sent := self._on_its_way) is not None and sent.has_arrived:
            self._on_its_way = None
            self._previews.show(sent.pixels.numpy(), index=sent.index, step=sent.step)


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    """A preview that a GPU computes and copies. Nothing waits for it: the next step looks whether it is there."""

    pixels: torch.Tensor
    event: torch.cuda.Event | None
    index: int
    step: int

    @classmethod
    def send(cls, colours: torch.Tensor, index: int, step: int) -> "_OnItsWay":
        if colours.device.type != "cuda":
            return cls(colours.cpu(), None, index, step)
        pixels = torch.empty(colours.shape, dtype=torch.uint8, pin_memory=True)
        pixels.copy_(colours, non_blocking=True)
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(colours.device))
        return cls(pixels, event, index, step)

    @property
    def has_arrived(self) -> bool:
        return self.event is None or self.event.query()


def estimate_final(scheduler: Any, before: torch.Tensor, latents: torch.Tensor) -> torch.Tensor | None:
    """Return the final latents that the last step went towards, from the latents before and after it; None if they do
    not say that, as with samplers that are not straight or add noise."""
    config, step = scheduler.config, getattr(scheduler, "step_index", None)
    if type(scheduler).__name__ not in _STRAIGHT or not step:
        return None
    if config.get("stochastic_sampling") or config.get("invert_sigmas"):
        return None
    # 0-dimensional tensors: as numbers they would make the CPU wait for a GPU.
    was, now = scheduler.sigmas[step - 1], scheduler.sigmas[step]
    share = (now / (was - now)).to(latents.device, torch.float32)
    return latents.float() + share * (latents.float() - before.float())


def _unpacked(latents: torch.Tensor, width: int, height: int, channels: int) -> torch.Tensor | None:
    """Return latents of the shape (channels, rows, columns); None for an order that is not known.

    Args:
        latents: of one image. FLUX's and Qwen's pipelines pack 2 x 2 of them into a token, row by row.
    """
    if latents.ndim == 3:
        return latents if latents.shape[0] == channels else None
    if latents.ndim != 2 or latents.shape[1] != channels * _PACKED**2:
        return None
    tokens = latents.shape[0]
    rows = round((tokens * height / width) ** 0.5)
    if rows == 0 or tokens % rows:
        return None
    return torch.pixel_shuffle(latents.T.reshape(-1, rows, tokens // rows), _PACKED)


def _shrink(image: torch.Tensor, side: int) -> torch.Tensor:
    """Scale an image down so that no side is longer."""
    height, width = image.shape[1:]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return torch.nn.functional.interpolate(image[None], size, mode="area")[0]
