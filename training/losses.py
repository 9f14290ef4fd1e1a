"""What the autoencoders are trained to keep small."""

import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor


def reconstruction(drawn: Tensor, real: Tensor) -> Tensor:
    """Levels, edges, the mean colour of four by four pixels, so that flat areas do not drift, and contrast."""
    off = drawn - real
    edges = sum(steps.abs().mean() for steps in _steps(off))
    return (
        off.abs().mean() + 0.5 * edges + F.avg_pool2d(off, 4).abs().mean() + off.square().mean() + _flatter(drawn, real)
    )


def _flatter(drawn: Tensor, real: Tensor) -> Tensor:
    """How far the strength of edges around a place, wherever exactly they are, is from the real one.

    An edge that may be here or a pixel further is drawn as a slope by every loss that compares pixels.
    """
    here, there = (sum(F.avg_pool2d(steps.square(), 8) for steps in _steps(picture)) for picture in (drawn, real))
    return 0.5 * ((here + 1e-4).sqrt() - (there + 1e-4).sqrt()).abs().mean()


def _steps(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The differences between neighbours: to the right, and down."""
    across = picture[..., :-1, 1:] - picture[..., :-1, :-1]
    down = picture[..., 1:, :-1] - picture[..., :-1, :-1]
    return across, down


def spread(latents: Tensor) -> Tensor:
    """What keeps each latent channel at mean 0 and deviation 1, and none of them far out."""
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    far_out = (latents.square() - 9).clamp(min=0).mean()
    return 0.01 * far_out + 0.02 * (mean.square().mean() + (deviation - 1).square().mean())
