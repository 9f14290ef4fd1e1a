"""Compose an image from three others, named in the prompt by their order, with Pipelet's Python client.

PIPELET_API_KEY=$(cat .pipelet/local-key) python examples/image_edit.py first.png second.png third.png
"""

import os
import sys
from pathlib import Path

from pipelet.client import Client

SENTENCE = (
    "The girl from first image is playing chess with the girl from second image, on the ancient table from third image."
)

with Client(os.environ.get("PIPELET_API_URL", "http://127.0.0.1:8000"), os.environ["PIPELET_API_KEY"]) as client:
    uploads = [client.upload(Path(path)) for path in sys.argv[1:]]
    submitted = client.submit(
        "z-image-image-edit",
        prompt=SENTENCE,
        image_urls=[upload.url for upload in uploads],
        width=256,
        height=256,
    )
    client.wait(submitted.request_id)
    for path in client.download(client.result(submitted.request_id), Path()):
        print(path)  # noqa: T201 - an example prints
