"""What a submit of an image edit takes and refuses; its images come as data: URIs and as files of our own."""

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import NotFound
from pipelet.domain.generation.image import ImageSpec
from pipelet.services.queue.maintenance import Maintenance
from pipelet.wiring.catalog_parser import parse
from tests.api.service import Service
from tests.support.images import data_uri, encoded, new_image, png
from tests.support.jobs import APP, EDIT, claim_request

BODY_LIMIT = 200_000
RED, BLUE = data_uri(png()), data_uri(png((64, 128), "blue"))


@pytest.fixture
def catalog() -> Catalog:
    """An app of three images by the prompt alone, and one of a single image that takes a strength."""
    return parse(
        f"""
        [models.several]
        source = "none"
        max_input_images = 3
        [models.one]
        source = "none"
        max_input_images = 1
        strength = 0.6
        [apps.{APP}]
        task = "text-to-image"
        model = "several"
        [apps.{EDIT}]
        task = "image-edit"
        model = "several"
        limits = {{ max_side = 512, default_side = 512, max_body_bytes = {BODY_LIMIT} }}
        [apps.restyle]
        task = "image-edit"
        model = "one"
        """
    )


async def post(service: Service, app: str = EDIT, **fields: Any) -> Any:
    body = json.dumps({"prompt": "a girl at a table", **fields})
    return await service.client.post(f"/fal/queue/{app}", content=body)


async def spec_of(service: Service, app: str = EDIT, **fields: Any) -> ImageSpec:
    response = await post(service, app, **fields)
    assert 200 == response.status_code, response.text
    job = await service.store.jobs.get(response.json()["request_id"])
    assert job is not None
    return job.spec


async def stored(service: Service, spec: ImageSpec) -> list[Image.Image]:
    return [Image.open(io.BytesIO(await service.blobs.get(each.key))) for each in spec.input_images]


async def test_images_are_stored_in_their_order(service: Service) -> None:
    """Each as an RGB PNG under a key of its own, noted with its size; the request has them when it is claimed."""
    spec = await spec_of(
        service, image_urls=[RED, BLUE, data_uri(encoded(new_image((80, 80), "lime"), "WEBP"), "image/webp")]
    )

    assert [(96, 64), (64, 128), (80, 80)] == [(each.width, each.height) for each in spec.input_images]
    images = await stored(service, spec)
    assert [("PNG", "RGB")] * 3 == [(each.format, each.mode) for each in images]
    assert [(255, 0, 0), (0, 0, 255)] == [each.getpixel((9, 9)) for each in images[:2]]
    assert all(each.key.startswith("inputs/z_image_image_edit_api/") for each in spec.input_images)
    lease = await service.store.leases.claim(claim_request(EDIT, now=service.clock.now()))
    assert lease is not None
    assert spec == lease.job.spec


async def test_the_same_image_twice_is_stored_once(service: Service) -> None:
    """It is the first and the third all the same."""
    spec = await spec_of(service, image_urls=[RED, BLUE, data_uri(encoded(new_image(), "GIF"), "image/gif")])

    assert [0, 1, 0] == [[RED, BLUE].index(RED if each.width == 96 else BLUE) for each in spec.input_images]
    assert 2 == len({each.key for each in spec.input_images})


@pytest.mark.parametrize(
    ("first", "asked", "size"),
    [
        ((96, 64), {}, (96, 64)),
        ((1024, 512), {}, (512, 256)),
        ((512, 70), {}, (512, 70)),
        ((96, 64), {"width": 300}, (300, 200)),
        ((96, 64), {"height": 300}, (450, 300)),
        ((96, 64), {"width": 65}, (65, 64)),
        ((96, 64), {"height": 500}, (512, 500)),
        ((96, 64), {"width": 100, "height": "200"}, (100, 200)),
    ],
)
async def test_the_size_is_that_of_the_first_image(
    service: Service, first: tuple[int, int], asked: dict[str, Any], size: tuple[int, int]
) -> None:
    """Where nothing else was asked for; where one side was, the other follows, as far as the limits allow."""
    spec = await spec_of(service, image_urls=[data_uri(png(first)), BLUE], **asked)

    assert size == (spec.width, spec.height)


async def test_one_image_has_a_field_of_its_own(service: Service) -> None:
    """As many of fal's apps have it; `strength` is there where the model takes one, with its default."""
    spec = await spec_of(service, "restyle", image_url=RED)
    assert (1, 0.6) == (len(spec.input_images), spec.strength)
    assert 0.25 == (await spec_of(service, "restyle", image_urls=[RED], strength="0.25")).strength
    assert (await spec_of(service, image_url=RED, image_urls=None)).strength is None


@pytest.mark.parametrize(
    ("called", "fields", "where", "kind", "says"),
    [
        (EDIT, {}, ["image_urls"], "missing", "Name the images"),
        (EDIT, {"image_urls": None}, ["image_urls"], "missing", "Name the images"),
        (EDIT, {"image_urls": []}, ["image_urls"], "sequence_too_short", "at least one"),
        (EDIT, {"image_urls": RED}, ["image_urls"], "list_type", "this is a text"),
        (EDIT, {"image_urls": {"0": RED}}, ["image_urls"], "list_type", "this is an object"),
        (
            EDIT,
            {"image_urls": [RED] * 4},
            ["image_urls"],
            "sequence_too_long",
            "at most 3 images a request; there are 4",
        ),
        (
            "restyle",
            {"image_urls": [RED, BLUE]},
            ["image_urls"],
            "sequence_too_long",
            "at most 1 image a request; there are 2",
        ),
        (EDIT, {"image_urls": [RED], "image_url": RED}, ["image_urls"], "value_error", "not both"),
        (EDIT, {"image_urls": [RED, 7]}, ["image_urls", 1], "string_type", "this is a number"),
        (EDIT, {"image_urls": [RED, None]}, ["image_urls", 1], "string_type", "this is null"),
        (EDIT, {"image_url": ["x"]}, ["image_url"], "string_type", "this is an array"),
        *(
            (EDIT, {"image_urls": [RED, url]}, ["image_urls", 1], "url_parsing", "begins with https://")
            for url in (
                *("", "girl.png", "//example.com/a.png", "file:///etc/passwd", "ftp://example.com/a", "gopher://a/"),
                *(
                    "https://",
                    "https://example.com/a b",
                    "https://exämple.com/",
                    "http:\\\\a",
                    "s3://bucket/a",
                    "blob:x",
                ),
                *("https://a/\u0000", "https://a/\ud800", " https://a/"),
            )
        ),
        (EDIT, {"image_url": "https://a/" + "x" * 9000}, ["image_url"], "string_too_long", "8192"),
        (EDIT, {"image_url": "data:image/png"}, ["image_url"], "file_download_error", "comma"),
        (EDIT, {"image_url": "data:;base64,@@@"}, ["image_url"], "file_download_error", "not Base64"),
        (EDIT, {"image_url": "data:;base64,ä"}, ["image_url"], "file_download_error", "not Base64"),
        (EDIT, {"image_url": "data:;base64,\ud800"}, ["image_url"], "file_download_error", "not Base64"),
        (EDIT, {"image_url": "data:,\ud800"}, ["image_url"], "file_download_error", "not text"),
        (EDIT, {"image_url": "data:,"}, ["image_url"], "image_load_error", "empty"),
        (EDIT, {"image_url": "data:text/plain,hello"}, ["image_url"], "unsupported_image_format", "PNG, JPEG"),
        (EDIT, {"image_url": data_uri(png((32, 32)))}, ["image_url"], "image_too_small", "32x32"),
        (EDIT, {"image_url": "https://example.com/a.png"}, ["image_url"], "file_download_error", "not fetched here"),
        ("restyle", {"image_url": RED, "strength": 0}, ["strength"], "greater_than", "greater than 0"),
        ("restyle", {"image_url": RED, "strength": 1.01}, ["strength"], "less_than_equal", "1"),
        ("restyle", {"image_url": RED, "strength": "some"}, ["strength"], "float_parsing", "number"),
        (EDIT, {"image_url": RED, "strength": 0.5}, ["strength"], "extra_forbidden", "Describe in the prompt what to"),
        (APP, {"strength": 0.5}, ["strength"], "extra_forbidden", "Leave it out: this app starts from no image."),
        (APP, {"image_url": RED}, ["image_url"], "extra_forbidden", "Unknown field"),
    ],
)
async def test_bad_input(
    service: Service, called: str, fields: dict[str, Any], where: list[Any], kind: str, says: str
) -> None:
    """It is said where, what and why, by fal's names; nothing is queued, and nothing stays stored."""
    response = await post(service, called, **fields)

    assert 422 == response.status_code, response.text
    faults = response.json()["detail"]
    assert [(["body", *where], kind)] == [(fault["loc"], fault["type"]) for fault in faults]
    assert says in faults[0]["msg"]
    assert says in response.json()["message"]
    assert len(str(faults[0]["input"])) <= 200
    assert 0 == await service.queued()
    assert [] == await service.store.files.orphaned(service.clock.now() + 10_000, 10)


async def _clear_up(service: Service) -> None:
    maintenance = Maintenance(service.store, service.blobs, retention_seconds=3600, lease_seconds=15)
    await maintenance.prune()


async def test_all_that_is_wrong_with_images_is_said_at_once(service: Service) -> None:
    """For each image, where it stands in the body; those that are fine go again."""
    response = await post(service, image_urls=[data_uri(b"<svg/>"), RED, data_uri(png((32, 32)))])

    assert 422 == response.status_code
    faults = response.json()["detail"]
    assert [
        (["body", "image_urls", 0], "unsupported_image_format"),
        (["body", "image_urls", 2], "image_too_small"),
    ] == [(fault["loc"], fault["type"]) for fault in faults]
    assert {"min_width": 64, "min_height": 64} == faults[1]["ctx"]
    assert response.json()["message"].startswith("image_urls.0: ")
    assert [] == stored_files(service)


async def test_images_go_with_their_request(service: Service) -> None:
    """They are there as long as it is, and deleted with it."""
    spec = await spec_of(service, image_urls=[RED, BLUE])
    lease = await service.store.leases.claim(claim_request(EDIT, now=service.clock.now()))
    assert lease is not None
    await service.store.leases.requeue_of_worker("w1", service.clock.now())
    service.clock.time += 3000
    await _clear_up(service)
    assert 2 == len(await stored(service, spec))

    await service.client.put(f"/fal/queue/{EDIT}/requests/{lease.job.id}/cancel")
    service.clock.time += 3601
    await _clear_up(service)

    for each in spec.input_images:
        with pytest.raises(NotFound):
            await service.blobs.get(each.key)


def stored_files(service: Service) -> list[Path]:
    return [each for each in (service.blobs._folder / "inputs").rglob("*") if each.is_file()]


async def test_images_of_a_request_over_the_limit_are_not_read(service: Service) -> None:
    """The limit is looked at first: it is said even where the images are wrong, and nothing is stored. The same
    submit that is repeated gets its response all the same."""
    key = await service.new_key("ada", max_queued_images=1)
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "once"}
    body = {"prompt": "x", "image_urls": [RED]}
    first = await service.client.post(f"/fal/queue/{EDIT}", json=body, headers=headers)
    again = await service.client.post(f"/fal/queue/{EDIT}", json=body, headers=headers)
    wrong = {"prompt": "x", "image_urls": ["https://example.com/a.png"]}
    full = await service.client.post(f"/fal/queue/{EDIT}", json=wrong, headers={"Authorization": f"Bearer {key}"})

    assert [200, 200, 429] == [first.status_code, again.status_code, full.status_code]
    assert first.json()["request_id"] == again.json()["request_id"]
    assert "1 of at most 1 wait" in full.text
    assert full.headers["Retry-After"]
    assert 1 == len(stored_files(service))


async def test_images_of_a_request_that_is_refused_late_go_at_once(service: Service) -> None:
    """Of several that arrive together, those that find no room any more leave nothing behind."""
    key = await service.new_key("ada", max_queued_images=1)
    headers = {"Authorization": f"Bearer {key}"}
    body = {"prompt": "x", "image_urls": [RED, BLUE]}
    responses = await asyncio.gather(
        *(service.client.post(f"/fal/queue/{EDIT}", json=body, headers=headers) for _ in range(4))
    )

    assert [200, 429, 429, 429] == sorted(response.status_code for response in responses)
    assert 2 == len(stored_files(service))
    assert [] == await service.store.files.orphaned(service.clock.now() + 1e6, 10)


async def test_a_submit_made_again_stores_no_more_images(service: Service) -> None:
    """It is the same request; where two arrive at once, what the second one brought may go."""
    body = {"prompt": "x", "image_urls": [RED]}

    def send() -> Any:
        return service.client.post(f"/fal/queue/{EDIT}", json=body, headers={"Idempotency-Key": "once"})

    both = [await each for each in [asyncio.create_task(send()) for _ in range(2)]]

    assert 1 == len({response.json()["request_id"] for response in [*both, await send()]})
    assert 1 == await service.queued()
    assert 1 == len(stored_files(service))


async def test_a_file_of_our_own_is_read_without_a_request(service: Service) -> None:
    """By the URL that a result named: for as long as it is good, and for nothing else."""
    await service.blobs.put("outputs/a/girl 1.png", png(), "image/png")
    url = service.blobs.signed_url("outputs/a/girl 1.png", now=service.clock.now(), base_url="http://pipelet.test")
    gone = service.blobs.signed_url("outputs/a/gone.png", now=service.clock.now(), base_url="http://pipelet.test")

    assert [(96, 64)] == [each.size for each in await stored(service, await spec_of(service, image_urls=[url]))]
    service.clock.time += 1
    refused = await post(service, image_urls=[url.replace("girl", "boy"), gone, url + "0"])
    assert ["was changed after it was signed", "no longer stored", "was changed after it was signed"] == [
        next(words for words in ("was changed after it was signed", "no longer stored") if words in fault["msg"])
        for fault in refused.json()["detail"]
    ]
    service.clock.time += 7200
    assert "has expired" in (await post(service, image_urls=[url])).json()["message"]


async def test_an_image_may_be_written_in_several_ways(service: Service) -> None:
    """Base64 with blanks, escapes and without padding; or the bytes themselves, escaped."""
    data = png()
    data += b"\0" * ((1 - len(data)) % 3)  # behind the image, so that Base64 needs padding
    text = base64.b64encode(data).decode()
    assert text.endswith("==")
    escaped = "".join(f"%{byte:02X}" for byte in data)
    ways = (
        f"DATA:image/png;BASE64,{text}",
        f"data:image/png;charset=utf-8;base64,{text.rstrip('=')}",
        "data:;base64," + text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        f"data:;base64,{text[:50]}\r\n {text[50:]}",
        f"data:image/png,{escaped}",
    )
    for way in ways:
        assert [(96, 64)] == [each.size for each in await stored(service, await spec_of(service, image_url=way))]


async def test_the_body_may_be_as_large_as_the_app_says(service: Service) -> None:
    """Images inside make it large; one byte more than allowed is refused, with a status of its own."""
    large = {"image_url": f"data:;base64,{base64.b64encode(png()).decode()}", "prompt": "x"}
    filler = BODY_LIMIT - len(str(large)) - 2000
    large["image_url"] = large["image_url"].replace(",", "," + " " * filler)

    assert 200 == (await service.client.post(f"/fal/queue/{EDIT}", json=large)).status_code
    large["image_url"] += " " * 3000
    response = await service.client.post(f"/fal/queue/{EDIT}", json=large)
    assert (413, "file_too_large") == (response.status_code, response.json()["error_type"])


async def test_the_description_names_the_fields(service: Service) -> None:
    """Those of text-to-image, and the images; the size has no default there, but `strength` has."""
    paths = (await service.client.get("/openapi.json")).json()["paths"]

    def schema(app: str) -> Any:
        return paths[f"/fal/queue/{app}"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    text, edit, restyle = schema(APP), schema(EDIT), schema("restyle")
    assert text["properties"].keys() | {"image_urls", "image_url"} == edit["properties"].keys()
    assert edit["properties"].keys() | {"strength"} == restyle["properties"].keys()
    assert 3 == edit["properties"]["image_urls"]["anyOf"][0]["maxItems"]
    assert edit["properties"]["width"].get("default") is None
    assert 0.6 == restyle["properties"]["strength"]["default"]
