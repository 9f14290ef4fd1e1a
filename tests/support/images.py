"""Pictures as users send them, and as they get them."""

import base64
import io
import json
import urllib.request
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from pipelet.worker.images.metadata import NAMESPACE


def picture(size: tuple[int, int] = (96, 64), colour: Any = "red", mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def encoded(image: Image.Image, name: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def png(size: tuple[int, int] = (96, 64), colour: Any = "red") -> bytes:
    return encoded(picture(size, colour))


def fetched(url: str) -> Image.Image:
    """What a picture's URL leads to, with nothing but the URL."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        image = Image.open(io.BytesIO(answer.read()))
    image.load()
    return image


def details(image: Image.Image) -> dict[str, Any]:
    """What a file of ours says about how it was made."""
    packet = ElementTree.fromstring(image.info["xmp"])  # noqa: S314 - of a file that was made here
    (found,) = packet.iter(f"{{{NAMESPACE}}}request")
    return json.loads(found.text or "")


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
