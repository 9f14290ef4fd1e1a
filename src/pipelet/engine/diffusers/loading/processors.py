"""The processor of Qwen's vision model without torchvision, which it asks for because it might be given videos.

torchvision has to match torch to the build, and nothing else here wants it. With it installed, the checkpoint's own
processor is loaded.
"""

from typing import Any

from transformers import Qwen2Tokenizer, Qwen2VLImageProcessorPil, Qwen2VLProcessor
from transformers.utils import is_torchvision_available


class ImageOnlyProcessor(Qwen2VLProcessor):  # type: ignore[misc]
    """Takes text and PIL images."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> None:
        """Not of a video processor that is not there, nor, for want of torchvision, of the others."""


def without_torchvision(pipeline: type, source: str, **options: Any) -> dict[str, Any]:
    """Components of `pipeline` that have to be handed to its `from_pretrained`."""
    wanted = getattr(pipeline.__init__, "__annotations__", {}).get("processor")  # type: ignore[misc]
    if wanted is not Qwen2VLProcessor or is_torchvision_available():
        return {}
    images = Qwen2VLImageProcessorPil.from_pretrained(source, subfolder="processor", **options)
    tokenizer = Qwen2Tokenizer.from_pretrained(source, subfolder="processor", **options)
    return {"processor": ImageOnlyProcessor(images, tokenizer)}
