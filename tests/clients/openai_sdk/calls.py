"""What a user of OpenAI's Python client does. Prints a JSON object of what it saw, then how a stream ended."""

import asyncio
import base64
import io
import json
import os
import sys

import openai

APP = "z-image-text-to-image"
SMALL = {"model": APP, "size": "96x64"}
RED = base64.b64decode(os.environ["IMAGE"])
client = openai.OpenAI(max_retries=0)


def refusal(call) -> list[object]:
    """Class, status, code, field and text of what a call is refused with."""
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, error.param, error.message]
    except openai.APIError as error:
        return [type(error).__name__, None, error.code, error.param, error.message]
    return []


def generated() -> dict[str, object]:
    one = client.images.generate(prompt="a fox", **SMALL, extra_body={"seed": 5, "num_inference_steps": 4})
    several = client.images.generate(prompt="a hen", n=3, **SMALL, response_format="b64_json")
    linked = client.images.generate(prompt="an owl", model="dall-e-3", size="96x64", quality="hd")
    return {
        "one": [one.size, one.output_format, one.usage.total_tokens, one.data[0].seed, one.data[0].url],
        "bytes": len(base64.b64decode(one.data[0].b64_json)),
        "request_id": one._request_id,
        "several": [len(each.b64_json) > 100 for each in several.data],
        "linked": [linked.data[0].b64_json, linked.data[0].url],
    }


def edited() -> dict[str, object]:
    images = [("a.png", RED), io.BytesIO(RED)]
    several = client.images.edit(image=images, prompt="a hat", extra_body={"seed": 3}, n=2)
    one = client.images.edit(image=("a.png", RED), prompt="a hat", size="128x64")
    mask = refusal(lambda: client.images.edit(image=("a.png", RED), mask=("m.png", RED), prompt="a hat"))
    return {"several": [several.size, [each.seed for each in several.data]], "one": one.size, "mask": mask}


def streamed() -> list[list[object]]:
    events = client.images.generate(prompt="a fox sleep=0.15", stream=True, partial_images=3, n=2, **SMALL)
    return [
        [each.type, getattr(each, "partial_image_index", None), each.size, len(base64.b64decode(each.b64_json)) > 20]
        for each in events
    ]


def streamed_edit() -> list[str]:
    return [each.type for each in client.images.edit(image=("a.png", RED), prompt="a hat", stream=True)]


def read(events) -> None:
    for _ in events:
        pass


def refused() -> dict[str, object]:
    stranger = openai.OpenAI(api_key="pk_of_nobody", max_retries=0)
    return {
        "input": refusal(lambda: client.images.generate(prompt="x", n=99, **SMALL)),
        "key": refusal(lambda: stranger.images.generate(prompt="x")),
        "model": refusal(lambda: client.images.generate(prompt="x", model="no-such-model")),
        "unable": refusal(lambda: client.images.generate(prompt="refuse this", **SMALL)),
        # It would retry twice if it were not told that this is final.
        "broken": refusal(lambda: client.with_options(max_retries=2).images.generate(prompt="please 1", **SMALL)),
        "stream": refusal(lambda: read(client.images.generate(prompt="refuse it", stream=True, **SMALL))),
    }


async def limited() -> list[object]:
    """With a key of which one request may wait: the second is refused, or waits if the client may retry."""
    key = os.environ["LIMITED_KEY"]

    async def call(retries: int) -> object:
        one = openai.AsyncOpenAI(api_key=key, max_retries=retries)
        try:
            return len((await one.images.generate(prompt="a cat sleep=0.1", **SMALL)).data)
        except openai.RateLimitError as error:
            return [error.status_code, error.code, error.type]

    busy = asyncio.create_task(openai.AsyncOpenAI(max_retries=0).images.generate(prompt="busy sleep=0.1", **SMALL))
    await asyncio.sleep(0.3)
    first = asyncio.create_task(call(0))
    await asyncio.sleep(0.1)
    found = [await call(0), await call(5), await first]
    await busy
    return found


def hung_up() -> str:
    try:
        client.with_options(timeout=0.4).images.generate(prompt="long python sleep=0.2", **SMALL)
    except openai.APITimeoutError as error:
        return type(error).__name__
    return ""


def models() -> dict[str, object]:
    return {
        "listed": [each.id for each in client.models.list()],
        "one": client.models.retrieve("gpt-image-1").id,
        "unknown": refusal(lambda: client.models.retrieve("no-such-model")),
    }


print(  # noqa: T201 - this is what the test reads
    json.dumps(
        {
            "generated": generated(),
            "edited": edited(),
            "streamed": streamed(),
            "streamed_edit": streamed_edit(),
            "refused": refused(),
            "limited": asyncio.run(limited()),
            "hung_up": hung_up(),
            "models": models(),
        }
    ),
    flush=True,
)
sys.stdin.readline()  # until the other client has come as far
stream = client.images.generate(prompt="long sleep=0.3", stream=True, **SMALL)
print(json.dumps("streaming"), flush=True)  # noqa: T201
print(json.dumps(refusal(lambda: read(stream))), flush=True)  # noqa: T201
