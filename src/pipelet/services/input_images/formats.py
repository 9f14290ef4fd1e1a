"""Image formats that are read, and the names of other files in error messages."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

from pipelet.domain.errors import InvalidImage

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")

_SIGNATURES = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpg"), (b"GIF8", "gif"))

_AS_JPEG = "Export it as JPEG and send that."
_A_FRAME = "Send one frame of it as JPEG."
_HEIC = (
    "a HEIC photograph",
    "Export it as JPEG and send that; an iPhone takes JPEGs with Settings, Camera, Formats, Most Compatible.",
)
_BEGINNINGS: tuple[tuple[bytes | tuple[bytes, ...], str, str], ...] = (
    ((b"II*\0", b"MM\0*"), "a TIFF image or a camera's raw file", _AS_JPEG),
    ((b"II+\0", b"MM\0+"), "a TIFF image", _AS_JPEG),
    (b"BM", "a BMP image", _AS_JPEG),
    ((b"\xff\x0a", b"\0\0\0\x0cJXL "), "a JPEG XL image", _AS_JPEG),
    ((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "a JPEG 2000 image", _AS_JPEG),
    (b"8BPS", "a Photoshop document", _AS_JPEG),
    (b"\0\0\1\0", "an icon (ICO)", _AS_JPEG),
    (b"qoif", "a QOI image", _AS_JPEG),
    (b"\x76\x2f\x31\x01", "an OpenEXR image", _AS_JPEG),
    (b"%PDF", "a PDF document", "Export its page as JPEG and send that."),
    (b"%!PS", "a PostScript document", "Export its page as JPEG and send that."),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska video", _A_FRAME),
    (b"PK\x03\x04", "a ZIP archive", "Send the image that is inside."),
    (b"\x1f\x8b", "compressed with gzip", "Send the image that is inside."),
)
_BRANDS = {
    b"qt  ": ("a QuickTime video (MOV)", _A_FRAME),
    b"crx ": ("a Canon raw file", _AS_JPEG),
    b"jxl ": ("a JPEG XL image", _AS_JPEG),
}
_MARKUP = (((b"<!doctype html", b"<html"), "a web page"), (b"{", "a JSON document"))
_OF_A_LINK = "Give the URL of the image itself."


def readable() -> tuple[str, ...]:
    """Pillow's names of the formats, with HEIF if `pillow-heif` is installed."""
    return (*FORMATS, "HEIF") if find_spec("pillow_heif") else FORMATS


def prepare_for(data: bytes) -> tuple[str, ...]:
    """The formats to try for a file. Loads the library that they need."""
    return readable() if _is_heif(data) and _load_heif() else FORMATS


@cache
def _load_heif() -> bool:
    try:
        import pillow_heif  # optional, and large
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return True


def is_readable(data: bytes) -> bool:
    """Whether the first bytes are of a format that is read: if it cannot be decoded then, it is damaged."""
    return extension_of(data) is not None or (_is_heif(data) and "HEIF" in readable())


def extension_of(data: bytes) -> str | None:
    """The extension of the format that a file's first bytes are of, if it is one that browsers show as well."""
    for signature, extension in _SIGNATURES:
        if data.startswith(signature):
            return extension
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return "avif" if _is_avif(data) else None


def unsupported(data: bytes, formats: Sequence[str]) -> InvalidImage:
    """The error of a file of another format than `formats`, with advice."""
    name, advice = format_name(data)
    message = f"The file is {name}, which is not read here. {advice} Formats that are read: {', '.join(formats)}."
    supported = [each.lower() for each in formats]
    return InvalidImage("unsupported_image_format", message.replace("  ", " "), supported_formats=supported)


def format_name(data: bytes) -> tuple[str, str]:
    """The name of a format that is not read, and advice."""
    if _is_heif(data):
        return _HEIC
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], ("an MP4 video", _A_FRAME))
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "an AVI video", _A_FRAME
    for beginning, name, advice in _BEGINNINGS:
        if data.startswith(beginning):
            return name, advice
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, name in _MARKUP:
        if start.startswith(beginning):
            return name, _OF_A_LINK
    return ("an SVG image", _AS_JPEG) if b"<svg" in start else ("of an unknown format", "")


def _brands(data: bytes) -> tuple[bytes, ...]:
    """Brands of an ISO media file: the major one first, then the compatible ones."""
    if data[4:8] != b"ftyp":
        return ()
    box = data[8 : min(int.from_bytes(data[:4]), 256)]
    return (box[:4], *(box[at : at + 4] for at in range(8, len(box), 4)))


def _is_avif(data: bytes) -> bool:
    return any(brand in _AVIF_BRANDS for brand in _brands(data))


def _is_heif(data: bytes) -> bool:
    return not _is_avif(data) and _brands(data)[:1] != (b"qt  ",) and any(b in _HEIF_BRANDS for b in _brands(data))
