"""fal's own ids: fal's input, our queue, fal's output."""

import json
from typing import Any

import httpx2
import pytest

from pipelet.domain.jobs.job import Lease
from tests.api.service import WITH_STRENGTH, Service
from tests.support.images import data_uri, png
from tests.support.jobs import EDIT as APP_EDIT
from tests.support.jobs import claim_request

TURBO = "fal-ai/z-image/turbo"
EDIT = f"{TURBO}/image-to-image"
OUTPUT = {"images", "timings", "seed", "has_nsfw_concepts", "prompt"}


async def submit(service: Service, fal_id: str = TURBO, *, root: str = "/fal", **fields: Any) -> httpx2.Response:
    return await service.client.post(f"{root}/{fal_id}", json={"prompt": "a fox", **fields})


async def test_the_life_of_a_request(service: Service) -> None:
    """fal's input is queued as ours, its URLs have the id's owner and name, and the output has fal's fields alone."""
    submitted = await submit(service, image_size="portrait_16_9", num_images=2, seed=5, output_format="jpeg")
    body = submitted.json()
    assert body["status_url"] == f"http://pipelet.test/fal/fal-ai/z-image/requests/{body['request_id']}/status"
    assert "X-Pipelet-Ignored" not in submitted.headers
    assert 202 == (await service.client.get(body["status_url"])).status_code
    assert 400 == (await service.client.get(body["response_url"])).status_code

    lease = await service.claim()
    spec = lease.job.spec
    assert (576, 1024, 2, 5, "jpeg", 8) == (
        *(spec.width, spec.height, spec.batch_size, spec.seed, spec.output_format, spec.num_inference_steps),
    )
    await service.succeed(lease)

    output = (await service.client.get(body["response_url"])).json()
    assert OUTPUT == output.keys()
    assert ([False, True], 5, "a fox") == (output["has_nsfw_concepts"], output["seed"], output["prompt"])
    assert output["images"][0]["url"].startswith("http://pipelet.test/files/")


@pytest.mark.parametrize(
    ("sent", "size"),
    [
        (None, (1024, 768)),
        ("square_hd", (1024, 1024)),
        ("square", (512, 512)),
        ("portrait_4_3", (768, 1024)),
        ("landscape_16_9", (1024, 576)),
        ({"width": 640}, (640, 512)),
        ({"width": "333", "height": 77, "unit": "px"}, (333, 77)),
        ({}, (512, 512)),
    ],
)
async def test_sizes(service: Service, sent: object, size: tuple[int, int]) -> None:
    """A name of fal's or an object is honoured to the pixel."""
    response = await submit(service, image_size=sent)

    assert 200 == response.status_code, response.text
    spec = (await service.claim()).job.spec
    assert size == (spec.width, spec.height)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": ({"image_size": "landscape"}, "image_size"),
    "auto without an image": ({"image_size": "auto"}, "image_size"),
    "a number": ({"image_size": 512}, "image_size"),
    "a side out of range": ({"image_size": {"width": 9000}}, "image_size.width"),
    "too many images": ({"num_images": 17}, "num_images"),
    "a blank prompt": ({"prompt": " "}, "prompt"),
    "another format": ({"output_format": "gif"}, "output_format"),
    "a LoRA": ({"loras": [{"path": "a/b"}]}, "loras"),
    "a mask": ({"mask_image_url": "https://example.com/a.png"}, "mask_image_url"),
    "an image": ({"image_url": "https://example.com/a.png"}, "image_url"),
    "no flag": ({"sync_mode": "maybe"}, "sync_mode"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_bad_input_is_named_as_it_was_sent(service: Service, case: str) -> None:
    """Each fault is at fal's own field, also what would silently give another image; nothing is queued."""
    fields, at = WRONG[case]
    response = await submit(service, **fields)

    assert 422 == response.status_code
    [fault] = response.json()["detail"]
    assert at == ".".join(fault["loc"][1:])
    assert response.json()["message"].startswith(f"{at}: ")
    assert 0 == await service.queued()


async def test_what_changes_nothing_is_ignored_and_named(service: Service) -> None:
    """Fields that fal has and we do not, unknown ones, and what an id of fal's does not take; null counts as absent."""
    fields: dict[str, Any] = {
        "enable_safety_checker": True,
        "guidance_scale": 9,
        "safety_tolerance": "2",
        "loras": [],
        "seed": None,
        "ä b": 1,
        "x" * 70: 1,
        "image_url": "",
        "width": None,
    }
    response = await submit(service, **fields)

    assert 200 == response.status_code
    names = ["enable_safety_checker", "guidance_scale", "safety_tolerance", "%C3%A4%20b", "x" * 64]
    assert ", ".join(names) == response.headers["X-Pipelet-Ignored"]
    assert 1.5 == (await service.claim()).job.spec.guidance_scale


async def test_the_header_has_bounds(service: Service) -> None:
    """It names twenty fields at most, in a kilobyte, and says that there are more."""
    short: dict[str, Any] = {f"f{number}": 1 for number in range(30)}
    wide: dict[str, Any] = {f"ä{number}" * 20: 1 for number in range(20)}
    many, long = await submit(service, **short), await submit(service, **wide)

    assert ([f"f{number}" for number in range(20)] + ["..."]) == many.headers["X-Pipelet-Ignored"].split(", ")
    assert long.headers["X-Pipelet-Ignored"].endswith("...")
    assert len(long.headers["X-Pipelet-Ignored"]) <= 1024


@pytest.mark.parametrize("catalog", [WITH_STRENGTH])
async def test_image_to_image(service: Service) -> None:
    """It starts from one image, has that one's size unless another is named, and takes a strength."""
    image = {"image_url": data_uri(png((96, 64)))}
    assert 422 == (await submit(service, EDIT)).status_code
    assert 200 == (await submit(service, EDIT, **image, strength=0.5)).status_code
    assert 200 == (await submit(service, EDIT, **image, image_size="square")).status_code
    broken = await submit(service, EDIT, image_url="data:image/png;base64,AAAA")

    assert ["body", "image_url"] == broken.json()["detail"][0]["loc"]
    specs = [(await claim_edit(service)).job.spec for _ in range(2)]
    assert [(96, 64, 0.5), (512, 512, 0.3)] == [(spec.width, spec.height, spec.strength) for spec in specs]


async def test_a_strength_without_effect_is_named(service: Service) -> None:
    """A model that reads its input image in every step has no strength: the field is ignored, and a header says so."""
    submitted = await submit(service, EDIT, image_url=data_uri(png((96, 64))), strength=0.5)

    assert "strength" == submitted.headers["X-Pipelet-Ignored"]
    assert None is (await claim_edit(service)).job.spec.strength


async def claim_edit(service: Service) -> Lease:
    lease = await service.store.leases.claim(claim_request(APP_EDIT, now=service.clock.now(), seconds=60))
    assert lease is not None
    return lease


async def test_sync_mode_returns_the_images_themselves(service: Service) -> None:
    """The output holds data: URIs, of every image, at each read; prompt and input go when the request ends."""
    response_url = (await submit(service, sync_mode=True, num_images=2)).json()["response_url"]
    lease = await service.claim()
    await service.succeed(lease, data=b"png bytes")

    read = await service.client.get(response_url)
    output = read.json()
    assert ("application/json", lease.job.id) == (read.headers["Content-Type"], read.headers["x-fal-request-id"])
    assert OUTPUT == output.keys()
    assert [data_uri(b"png bytes")] * 2 == [image["url"] for image in output["images"]]
    assert "" == output["prompt"]
    own = (await service.client.get(service.result_path(lease.job.id))).json()
    assert own["images"][0]["url"].startswith("http://pipelet.test/files/")


async def test_sync_mode_is_sent_in_pieces(service: Service) -> None:
    """With the length of the whole: no reader, however slow, keeps an image in memory."""
    response_url = (await submit(service, sync_mode=True, num_images=2)).json()["response_url"]
    await service.succeed(await service.claim(), data=bytes(range(256)) * 2048)
    async with service.client.stream("GET", response_url) as read:
        pieces = [piece async for piece in read.aiter_raw()]

    assert int(read.headers["Content-Length"]) == sum(map(len, pieces)) > 1_390_000
    images = json.loads(b"".join(pieces))["images"]
    assert [data_uri(bytes(range(256)) * 2048)] * 2 == [image["url"] for image in images]


@pytest.mark.parametrize("size", [0, 2 * 1024 * 1024])
async def test_what_is_nested_too_deeply_is_refused(service: Service, size: int) -> None:
    """Also in a field that is ignored, which an idempotency key covers."""
    nested = f'{{"prompt": "a", "more": {"[" * 900}{"]" * 900}}}{" " * size}'
    response = await service.client.post(f"/fal/{EDIT}", content=nested, headers={"Idempotency-Key": "k"})

    assert (400, "The body is nested too deeply.") == (response.status_code, response.json()["detail"])


async def test_sync_mode_fails_before_it_begins(service: Service) -> None:
    """If the file is gone, the response is an error, not half an output."""
    response_url = (await submit(service, sync_mode=True)).json()["response_url"]
    lease = await service.claim()
    await service.succeed(lease)
    await service.blobs.delete((await service.store.jobs.get(lease.job.id)).images[0].key)  # type: ignore[union-attr]

    assert 404 == (await service.client.get(response_url)).status_code


async def test_every_read_and_cancel_has_an_ids_path(service: Service) -> None:
    """With or without `queue/`, the rest of the name and a slash at the end; and an app's own request, too."""
    own, theirs = await service.submit(), (await submit(service, root="/fal/queue")).json()["request_id"]
    for root in ("/fal/fal-ai/z-image", "/fal/queue/fal-ai/z-image", f"/fal/{TURBO}", f"/fal/queue/{TURBO}"):
        for request_id in (own, theirs):
            request = f"{root}/requests/{request_id}"
            codes = [
                (await service.client.get(f"{request}{path}")).status_code
                for path in ("/status", "/status/", "", "/", "/response")
            ]
            assert [202, 202, 400, 400, 400] == codes
    cancelled = await service.client.put(f"/fal/fal-ai/z-image/requests/{theirs}/cancel")
    assert 202 == cancelled.status_code
    stream = await service.client.get(f"/fal/fal-ai/z-image/requests/{theirs}/status/stream")
    assert '"COMPLETED"' in stream.text
    assert f"/fal/fal-ai/z-image/requests/{theirs}/status" in stream.text


async def test_ids_that_are_not_served(service: Service) -> None:
    """They answer 404, and name those that are: unknown ones, others of this model, and requests under them."""
    for path in ("/fal/fal-ai/flux/dev", "/fal/run/fal-ai/z-image/turbo/inpaint", "/fal/queue/fal-ai/z-image/base"):
        response = await service.client.post(path, json={"prompt": "a"})
        assert 404 == response.status_code
        assert f"Ids of fal's that are: {TURBO}, {TURBO}/lora, {EDIT}, {EDIT}/lora." in response.json()["message"]
    unknown = await service.client.get(f"/fal/fal-ai/flux/requests/{await service.submit()}/status")
    assert (404, True) == (unknown.status_code, TURBO in unknown.json()["message"])
    assert 405 == (await service.client.get(f"/fal/{TURBO}")).status_code


async def test_through_the_proxy(service: Service) -> None:
    """fal's JavaScript client reaches them at fal's own addresses."""
    headers = {"x-fal-target-url": f"https://queue.fal.run/{TURBO}"}
    submitted = await service.client.post("/fal/proxy", headers=headers, json={"prompt": "a", "num_images": 2})
    request_id = submitted.json()["request_id"]
    headers = {"x-fal-target-url": f"https://queue.fal.run/fal-ai/z-image/requests/{request_id}/status?logs=1"}

    assert isinstance((await service.client.get("/fal/proxy", headers=headers)).json()["logs"], list)
    for target in ("https://fal.run/fal-ai/flux", "https://queue.fal.run/fal-ai/nothing/x"):
        refused = await service.client.post("/fal/proxy", headers={"x-fal-target-url": target}, json={})
        assert (404, True) == (refused.status_code, TURBO in refused.json()["message"])


async def test_an_id_needs_the_callers_key(service: Service) -> None:
    """Without one, or for another user's request, it answers as an app does."""
    request_id = (await submit(service)).json()["request_id"]
    service.client.headers["Authorization"] = f"Key {await service.new_key('eve')}"
    assert 404 == (await service.client.get(f"/fal/fal-ai/z-image/requests/{request_id}")).status_code
    del service.client.headers["Authorization"]
    assert 401 == (await submit(service)).status_code


async def test_the_same_key_and_input_are_one_request(service: Service) -> None:
    """`Idempotency-Key` and fal's other headers work for ids."""
    headers = {"Idempotency-Key": "k", "X-Fal-Store-IO": "0"}
    first, second = [
        await service.client.post(f"/fal/{TURBO}", json={"prompt": "a", "x": 1}, headers=headers) for _ in range(2)
    ]

    assert first.json()["request_id"] == second.json()["request_id"]
    assert ("true", "x") == (second.headers["Idempotent-Replayed"], second.headers["X-Pipelet-Ignored"])
