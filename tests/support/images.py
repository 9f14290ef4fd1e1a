"""Images as users send them, and as they get them."""

import base64
import io
import json
import urllib.request
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from pipelet.worker.images.metadata import NAMESPACE


def new_image(size: tuple[int, int] = (96, 64), colour: Any = "red", mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def encoded(image: Image.Image, name: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def png(size: tuple[int, int] = (96, 64), colour: Any = "red") -> bytes:
    return encoded(new_image(size, colour))


def pixel(image: Image.Image, at: tuple[int, int]) -> Any:
    """Return the colour there: a number, or one for each channel."""
    return image.getpixel(at)


def fetched(url: str) -> Image.Image:
    """What an image's URL leads to, with nothing but the URL."""
    with urllib.request.urlopen(url, timeout=30) as response:
        image = Image.open(io.BytesIO(response.read()))
    image.load()
    return image


def details(image: Image.Image) -> dict[str, Any]:
    """What a file of ours says about how it was made."""
    packet = ElementTree.fromstring(image.info["xmp"])  # noqa: S314 - of a file that was made here
    (found,) = packet.iter(f"{{{NAMESPACE}}}request")
    return json.loads(found.text or "")


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
