"""fal's own Python client against Pipelet (`pip install fal-client`).

    FAL_KEY=<a Pipelet key> PIPELET_HOST=api.example.com python examples/fal_client_example.py "a red apple"

The client speaks https only: Pipelet stands behind a proxy that ends TLS, with PIPELET_PUBLIC_URL set to its address.
"""

import os
import sys

# Read when the client is imported, so they come first.
os.environ["FAL_RUN_HOST"] = os.environ["PIPELET_HOST"] + "/fal/run"
os.environ["FAL_QUEUE_RUN_HOST"] = os.environ["PIPELET_HOST"] + "/fal"

import fal_client


def show(update: fal_client.Status) -> None:
    place = f", {update.position} ahead" if isinstance(update, fal_client.Queued) else ""
    print(f"{type(update).__name__}{place}", file=sys.stderr)  # noqa: T201 - an example talks


result = fal_client.subscribe(
    "queue/z-image-text-to-image",
    arguments={"prompt": sys.argv[1], "width": 512, "height": 320},
    on_queue_update=show,
)
for image in result["images"]:
    print(image["url"])  # noqa: T201 - an example talks
