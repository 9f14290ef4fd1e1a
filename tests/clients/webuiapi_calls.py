"""What a user of `webuiapi` does. Prints one JSON object of what it saw."""

import json
import os
import sys
from collections.abc import Callable

import webuiapi

host, port = sys.argv[1:]
api = webuiapi.WebUIApi(host=host, port=int(port), username="any", password=os.environ["KEY"])
small = {"width": 96, "height": 64, "steps": 4}
made = api.txt2img(prompt="a fox", seed=5, batch_size=2, sampler_name="Euler a", **small)


def refusal(call: Callable[..., object], **fields: object) -> str:
    try:
        call(prompt="a fox", **fields)
    except RuntimeError as error:
        return str(error)
    return ""


json.dump(
    {
        "models": api.util_get_model_names(),
        "samplers": [each["name"] for each in api.get_samplers()],
        "sizes": [image.size for image in made.images],
        "seeds": made.info["all_seeds"],
        "idle": api.get_progress()["progress"],
        "interrupt": api.interrupt(),
        "refused": refusal(api.txt2img, enable_hr=True),
        "no_edit": refusal(api.img2img, images=[made.image]),
        "bad_key": webuiapi.WebUIApi(host=host, port=int(port), username="any", password="no").get_options(),
    },
    sys.stdout,
)
