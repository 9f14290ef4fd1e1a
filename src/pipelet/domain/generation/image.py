"""What to generate, and what was generated."""

from dataclasses import dataclass
from enum import StrEnum

from pipelet.domain.generation.sizes import Size


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
class InputImage:
    """An image that an edit starts from. It was fetched, checked and turned upright at submit."""

    key: str
    """Its key in the blob store: an RGB image in a PNG file."""
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """The images of one request, complete: no default that could change before it runs is left out."""

    prompt: str
    negative_prompt: str | None
    width: int
    """Pixels, honoured exactly, whatever sizes the model itself can generate."""
    height: int
    batch_size: int
    seed: int
    """Image k of the batch is generated with `seed + k`."""
    num_inference_steps: int
    guidance_scale: float
    output_format: OutputFormat
    input_images: tuple[InputImage, ...] = ()
    """Input images of an edit, in the order in which its prompt counts them."""
    strength: float | None = None
    """Share of the input image that is generated again, 0 to 1; None where the prompt alone decides."""
    output_quality: int | None = None
    """Quality of a JPEG or WebP file, 0 to 100; None: that of all files without one. A PNG has none."""

    unknown_fields: tuple[str, ...] = ()
    """Fields of a newer version that this one does not know: it would generate something else."""

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def megapixels(self) -> float:
        """Megapixels of one image."""
        return self.width * self.height / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A finished file. Its URL is signed when the result is read, so it is not stored here."""

    key: str
    """Its key in the blob store, `outputs/<app>_api/<file name>`."""
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
