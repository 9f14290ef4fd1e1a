"""Edits show what their prompts say of their images: the edit model generates them, and a judge says what is where."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelet.services.examples.inputs import EDIT_PROMPT
from tests.support.images import data_uri, encoded, fetched
from tests.support.jobs import APP, EDIT
from tests.support.service import Service
from training.edit.art import HELD_OUT
from training.edit.judge import judge
from training.edit.scenes import Picture, Reference, Scene, Scenes
from training.judge import recognise
from training.stages import chance

CHESS = "The girl from the {} image is playing chess with the girl from the {} image."


@pytest.fixture
def service(demo_service: Service) -> Service:
    demo_service.wait_for_worker(EDIT)
    return demo_service


def pair(number: int) -> Scene:
    """Two things next to each other, which training never saw."""
    return Scenes(HELD_OUT).draw("pair", chance("acceptance", number))


def exchanged(scene: Scene) -> Scene:
    first, second = scene.references
    return replace(scene, references=(second, first), shown=(second, first))


def places(picture: Picture, scene: Scene) -> tuple[bool, ...]:
    """For each place of the scene, whether the image shows there what the scene does."""
    return judge(picture, scene, HELD_OUT).places


def uri(reference: Reference) -> str:
    return data_uri(file_of(reference))


def file_of(reference: Reference) -> bytes:
    return encoded(Image.fromarray(reference.render()))


def submit(service: Service, prompt: str, images: Sequence[str]) -> str:
    return service.submit(prompt, app=EDIT, image_urls=list(images), width=256, height=256, seed=1)


def image_of(service: Service, request_id: str) -> Picture:
    url = service.result(request_id, app=EDIT, within=120)["results"][0]
    return np.asarray(fetched(url).convert("RGB"))


def test_each_image_is_where_the_prompt_puts_it(service: Service) -> None:
    """The first is on the left where the prompt names it first, and on the right where it exchanges the two; and of
    users who ask at the same moment, none gets the image of another."""
    wanted, requests = [], []
    for scene in map(pair, range(2)):
        images = [uri(reference) for reference in scene.references]
        for shown, order in ((scene, ("first", "second")), (exchanged(scene), ("second", "first"))):
            wanted.append(shown)
            requests.append(submit(service, CHESS.format(*order), images))

    pictures = [image_of(service, request_id) for request_id in requests]

    seen = [[all(places(picture, scene)) for scene in wanted] for picture in pictures]
    assert np.eye(len(wanted), dtype=bool).tolist() == seen


def test_the_documents_sentence_with_images_from_everywhere(service: Service) -> None:
    """A data: URI, an upload and a result of this service: the first on the left, the second on the right, and the
    third beneath them."""
    scene = pair(0)
    first, second = scene.references
    code, upload = service.call("POST", "/api/v1/uploads", file_of(second))
    assert code == 201, upload
    table = service.submit("a penguin on an orange background", width=256, height=256, seed=1)
    own = service.result(table, app=APP, within=120)["results"][0]

    picture = image_of(service, submit(service, EDIT_PROMPT, [uri(first), upload["url"], own]))

    assert (True, True) == places(picture, replace(scene, places=("top left", "top right")))
    beneath = Image.fromarray(picture[128:, 64:192]).resize((256, 256))
    assert "penguin" in [seen.thing.name for seen in recognise(np.asarray(beneath))[:3]]
