"""fal's own Python client against Pipelet (`pip install fal-client`).

    FAL_KEY=<a Pipelet key> PIPELET_HOST=api.example.com python examples/fal_client_example.py "a red apple"

The client supports HTTPS only: Pipelet runs behind a proxy that terminates TLS, with PIPELET_PUBLIC_URL set to its URL.
"""

import os
import sys

# The client reads these when it is imported.
os.environ["FAL_RUN_HOST"] = os.environ["PIPELET_HOST"] + "/fal/run"
os.environ["FAL_QUEUE_RUN_HOST"] = os.environ["PIPELET_HOST"] + "/fal"

import fal_client


def show(update: fal_client.Status) -> None:
    place = f", {update.position} ahead" if isinstance(update, fal_client.Queued) else ""
    print(f"{type(update).__name__}{place}", file=sys.stderr)  # noqa: T201 - an example prints


result = fal_client.subscribe(
    "queue/z-image-text-to-image",
    arguments={"prompt": sys.argv[1], "width": 512, "height": 320},
    on_queue_update=show,
)
for image in result["images"]:
    print(image["url"])  # noqa: T201 - an example prints
