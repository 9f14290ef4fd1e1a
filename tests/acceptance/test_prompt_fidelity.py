"""Every user gets the images that were requested: the demo model generates them, and a judge says what they show."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipelet.services.examples.inputs import PROMPT
from tests.support.images import fetched
from tests.support.service import Service, kill_any
from tests.support.waiting import eventually
from training.judge import Picture, background, recognise

ASKED = {
    PROMPT: ("red apple", "light blue"),
    "a star on a purple background": ("star", "purple"),
    "a frog on a pink background": ("frog", "pink"),
    "a blue heart on a yellow background": ("blue heart", "yellow"),
    "a penguin on an orange background": ("penguin", "orange"),
    "a pumpkin on a teal background": ("pumpkin", "teal"),
}
"""Prompts, with the thing and the background that each means. No two share either, so a mix-up shows."""


def shown(image: Picture) -> tuple[str, str]:
    """The thing, of those asked for here, that the image shows, and the name of its background.

    Of all things it might be another one that looks like it; what is tested here is the way, not the generation.
    """
    things = {thing for thing, _ in ASKED.values()}
    return next(seen.thing.name for seen in recognise(image) if seen.thing.name in things), background(image)


def submit(service: Service, prompt: str, *, batch_size: int = 1) -> str:
    return service.submit(prompt, width=256, height=256, batch_size=batch_size, seed=1)


def images_of(service: Service, request_id: str) -> list[Picture]:
    return [np.asarray(fetched(url)) for url in service.result(request_id, within=120)["results"]]


@pytest.fixture
def service(demo_service: Service) -> Service:
    return demo_service


def test_concurrent_requests_get_their_own_images(service: Service) -> None:
    """Users who ask at the same moment each get what they asked for."""

    def generated(prompt: str) -> Picture:
        [image] = images_of(service, submit(service, prompt))
        return image

    with ThreadPoolExecutor(len(ASKED)) as users:
        images = dict(zip(ASKED, users.map(generated, ASKED), strict=True))

    assert ASKED == {prompt: shown(image) for prompt, image in images.items()}


def test_every_image_of_a_batch_shows_its_prompt(service: Service) -> None:
    """Also of one that was generated between others."""
    sizes = dict(zip(list(ASKED)[:3], (1, 4, 2), strict=True))
    requests = {prompt: submit(service, prompt, batch_size=size) for prompt, size in sizes.items()}

    found = {prompt: list(map(shown, images_of(service, requests[prompt]))) for prompt in sizes}

    assert {prompt: [ASKED[prompt]] * size for prompt, size in sizes.items()} == found


def test_after_crashes_everybody_gets_their_own_images(service: Service) -> None:
    """With the engine killed first, and then everything, each request still ends with what it asked for."""
    requests = {prompt: submit(service, prompt, batch_size=2) for prompt in ASKED}
    first, second, *_ = requests.values()

    service.wait(first)
    eventually(lambda: kill_engine(service), why="there is an engine")
    service.wait(second)
    service.kill()
    service.start()

    found = {prompt: list(map(shown, images_of(service, request_id))) for prompt, request_id in requests.items()}

    assert {prompt: [meant] * 2 for prompt, meant in ASKED.items()} == found


def kill_engine(service: Service) -> bool:
    engines = service.engine_pids()
    kill_any(engines)
    return bool(engines)
