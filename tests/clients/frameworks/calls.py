"""What users of LiteLLM and of LangChain do. Prints what it saw as JSON, and waits for a line where the test has to
make sure of something first. In the end it waits for an image, until it is killed."""

import asyncio
import base64
import json
import os
import sys
import tempfile
from pathlib import Path

import litellm
import openai
from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

APP, EDIT = "z-image-text-to-image", "z-image-image-edit"
KEY, LIMITED = os.environ["OPENAI_API_KEY"], os.environ["LIMITED_KEY"]
litellm.suppress_debug_info = True  # it would print where to get help, between the lines that the test reads
SERVICE = {"model": f"openai/{APP}", "api_base": os.environ["OPENAI_API_BASE"], "size": "96x64"}


def refusal(call, **arguments) -> list[object]:
    """Class, status and text of what a call is refused with."""
    try:
        call(**arguments)
    except openai.APIStatusError as error:  # LiteLLM's own are of these classes
        return [type(error).__name__, error.status_code, str(error)]
    return []


def wrapper(**arguments) -> DallEAPIWrapper:
    """LangChain's, which has the base URL and the key from the environment."""
    return DallEAPIWrapper(size="96x64", max_retries=0, **arguments)


async def generated_by_litellm() -> dict[str, object]:
    more = {"seed": 5, "num_inference_steps": 4, "negative_prompt": "blur"}
    one = litellm.image_generation(prompt="a fox", **SERVICE, api_key=KEY, **more)
    several = await litellm.aimage_generation(prompt="a hen", n=3, **SERVICE, api_key=KEY)
    return {
        "one": [one.data[0].url, len(base64.b64decode(one.data[0].b64_json)), one.size],
        "several": [len(base64.b64decode(each.b64_json)) > 100 for each in several.data],
    }


def edited_by_litellm() -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a red square.png"
        file.write_bytes(base64.b64decode(os.environ["IMAGE"]))
        with file.open("rb") as image:
            edited = litellm.image_edit(
                image=image, prompt="a hat", model=f"openai/{EDIT}", api_base=SERVICE["api_base"], api_key=KEY
            )
    return [edited.size, len(base64.b64decode(edited.data[0].b64_json)) > 100]


def refused_by_litellm() -> dict[str, list[object]]:
    call = {"prompt": "an owl", **SERVICE, "api_key": KEY}
    return {
        "input": refusal(litellm.image_generation, **call, n=99),
        "key": refusal(litellm.image_generation, **call | {"api_key": "pk_of_nobody"}),
        "model": refusal(litellm.image_generation, **call | {"model": "openai/no-such-model"}),
        "unable": refusal(litellm.image_generation, **call | {"prompt": "refuse this"}),
        # OpenAI's client in it would retry twice if it were not told that this is final.
        "broken": refusal(litellm.image_generation, **call | {"prompt": "please litellm"}),
        "own": refusal(litellm.image_generation, **call, response_format="url"),
    }


def langchain() -> dict[str, object]:
    return {
        "one": wrapper().run("a cat"),
        "several": wrapper(model=APP, n=2).run("a dog").split("\n"),
        "input": refusal(wrapper(model=APP, n=99).run, query="x"),
        "key": refusal(wrapper(api_key="pk_of_nobody").run, query="x"),
        "unable": refusal(wrapper(model=APP).run, query="refuse it"),
    }


async def line_of_test() -> None:
    await asyncio.to_thread(sys.stdin.readline)


def tell(found: object) -> None:
    print(json.dumps(found), flush=True)  # noqa: T201 - this is what the test reads


async def main() -> None:
    tell(
        {
            "generated": await generated_by_litellm(),
            "edited": edited_by_litellm(),
            "refused": refused_by_litellm(),
            "langchain": langchain(),
        }
    )
    await line_of_test()  # until the worker is busy
    call = {**SERVICE, "api_key": LIMITED, "max_retries": 0}
    waiting = asyncio.create_task(litellm.aimage_generation(prompt="waits litellm", **call))
    await line_of_test()  # until that is queued
    limited = {
        "litellm": refusal(litellm.image_generation, prompt="one more", **call),
        "langchain": refusal(wrapper(api_key=LIMITED).run, query="one more"),
    }
    waiting.cancel()
    await asyncio.wait([waiting])
    tell({"limited": limited, "left": waiting.cancelled()})
    await asyncio.to_thread(wrapper().run, "waits langchain")


asyncio.run(main())
