"""What to draw, and what was drawn."""

from dataclasses import dataclass
from enum import StrEnum

from pipelet.domain.sizes import Size


class OutputFormat(StrEnum):
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def content_type(self) -> str:
        return f"image/{self.value}"

    @property
    def extension(self) -> str:
        return "jpg" if self is OutputFormat.JPEG else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A picture that an edit starts from. It was fetched, checked and turned upright when the request was submitted."""

    key: str
    """Where the blob store has it, as RGB in a PNG file."""
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """One request's pictures, complete: nothing is left to a default that could change before it runs."""

    prompt: str
    negative_prompt: str | None
    width: int
    """Pixels, honoured exactly, whatever sizes the model itself can draw."""
    height: int
    batch_size: int
    seed: int
    """Image k of the batch is drawn with `seed + k`."""
    num_inference_steps: int
    guidance_scale: float
    output_format: OutputFormat
    references: tuple[Reference, ...] = ()
    """What an edit starts from, in the order that its prompt calls the first, the second and so on."""
    strength: float | None = None
    """How much of the reference is drawn anew, 0 to 1; None where the model leaves that to the prompt."""

    unread: tuple[str, ...] = ()
    """What a newer version asks for here and this one does not know: it would draw something else."""

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def megapixels(self) -> float:
        """Of one image."""
        return self.size.megapixels


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A finished file. Its URL is signed when somebody reads the result, so it is not kept here."""

    key: str
    """Where the blob store has it, `outputs/<app>_api/<file name>`."""
    content_type: str
    file_size: int
    """Bytes."""
    width: int
    height: int
    seed: int
    has_nsfw_concepts: bool = False
    """Whether the safety checker of the model blacked it out."""

    @property
    def file_name(self) -> str:
        return self.key.rpartition("/")[2]


def file_key(app: str, prefix: str, number: int, extension: str) -> str:
    """`outputs/z_image_text_to_image_api/2DPBix_z_image_text_to_image__00008_.png`"""
    name = app.replace("-", "_")
    return f"outputs/{name}_api/{prefix}_{name}__{number:05d}_.{extension}"
