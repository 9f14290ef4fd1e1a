"""What people send who come from another API, and the hint that comes back."""

from typing import Any

from tests.api.service import Service
from tests.support.jobs import APP, EDIT

URL = f"/fal/queue/{APP}"


FIELDS = {
    "image_size": "Give 'width' and 'height', in pixels.",
    "imageSize": "Give 'width' and 'height', in pixels.",
    "aspect_ratio": "Give 'width' and 'height', in pixels.",
    "num_images": "Did you mean 'batch_size'?",
    "n": "Did you mean 'batch_size'?",
    "numInferenceSteps": "Did you mean 'num_inference_steps'?",
    "negative-prompt": "Did you mean 'negative_prompt'?",
    "sync_mode": "Leave it out: results hold URLs.",
    "enable_safety_checker": "Leave it out: there is no safety checker.",
    "enable_prompt_expansion": "Leave it out: the prompt is used as it is.",
    "acceleration": "Leave it out: every request is as fast as the device allows.",
    "loras": "Leave it out: no LoRA is served here.",
    "mask_image_url": "Leave it out: masks are not supported.",
    "image_url": f"This app starts from no image: call {EDIT}.",
    "image_urls": f"This app starts from no image: call {EDIT}.",
    "image": f"This app starts from no image: call {EDIT}.",
}


async def test_fields_of_other_apis(service: Service) -> None:
    """Each is refused with what to send here instead."""
    told = {name: await refusal_of(service, {"prompt": "a", name: "x"}) for name in FIELDS}

    assert {name: f"Unknown field '{name}'. {hint}" for name, hint in FIELDS.items()} == told


async def refusal_of(service: Service, fields: dict[str, Any]) -> str:
    response = await service.client.post(URL, json=fields)
    assert 422 == response.status_code
    return str(response.json()["message"])


async def test_an_edit_takes_the_image_under_its_own_name(service: Service) -> None:
    """Its hint for `image` is one of its fields."""
    refusal = (await service.client.post(f"/fal/queue/{EDIT}", json={"prompt": "a", "image": "x"})).json()

    assert "Unknown field 'image'. Did you mean 'image_url'?" in [fault["msg"] for fault in refusal["detail"]]


async def test_formats_of_other_names(service: Service) -> None:
    """The choices are named, or the one that was meant."""
    hints = {"jpg": "jpeg", "PNG": "png", "image/webp": "webp"}
    told = {sent: await refusal_of(service, {"prompt": "a", "output_format": sent}) for sent in hints}

    assert {sent: f"output_format: Did you mean '{meant}'?" for sent, meant in hints.items()} == told
    for sent in ("gif", ["png"]):
        told_all = await refusal_of(service, {"prompt": "a", "output_format": sent})
        assert "output_format: Give 'png', 'jpeg' or 'webp'." == told_all


async def test_a_key_in_another_place(service: Service) -> None:
    """It is not accepted, and not repeated; the response says where it belongs."""
    del service.client.headers["Authorization"]
    for headers, hint in (
        ({"X-API-Key": service.key}, "send `Authorization: Bearer <key>`. `X-API-Key` is not read."),
        ({"Authorization": service.key}, "The Authorization header has a key only: it must read `Bearer <key>`"),
        (
            {"Authorization": f"Basic {service.key}"},
            "The Authorization header must read `Bearer <key>` or `Key <key>`.",
        ),
    ):
        response = await service.client.post(URL, json={"prompt": "a"}, headers=headers)

        assert 401 == response.status_code
        assert hint in response.json()["message"]
        assert service.key not in response.text


PATHS = [
    ("POST", f"/queue/{APP}", 404, f"Did you mean /fal/queue/{APP}?"),
    ("GET", f"/queue/{APP}/requests/x/status", 404, f"Did you mean /fal/queue/{APP}/requests/x/status?"),
    ("POST", f"/run/{APP}", 404, f"Did you mean /fal/run/{APP}?"),
    ("POST", "/fal-ai/flux/dev", 404, f"apps are called as /fal/queue/{APP}"),
    ("POST", "/fal/queue/fal-ai/flux/dev", 404, f"apps are called as /fal/queue/{APP}"),
    ("POST", "/images/generations", 404, "Did you mean /v1/images/generations?"),
    ("POST", "/predictions", 404, f"requests are sent to /fal/queue/{APP}"),
    ("POST", "/fal-ai/z-image/turbo", 404, "Did you mean /fal/fal-ai/z-image/turbo?"),
    ("POST", "/fal/fal-ai/z-image/base", 404, "fal-ai/z-image/base is not served here. Ids of fal's that are: fal-ai/"),
    ("GET", f"{URL}/requests", 404, "Requests are listed at /api/v1/requests. Read one by its id"),
    ("GET", "/fal/queue/requests", 405, "Requests are listed at /api/v1/requests. Read one by its id"),
    ("GET", URL, 405, "GET is not allowed here, only POST."),
    ("GET", "/nowhere", 404, "There is nothing at this path. The routes"),
]


async def test_paths_of_other_apis(service: Service) -> None:
    """Each is refused with the path that there is; a hint has the length of a hint."""
    for method, path, status, hint in PATHS:
        response = await service.client.request(method, path, json={"prompt": "a"})

        assert status == response.status_code, path
        assert hint in response.json()["message"]
    assert len((await service.client.post(f"/queue/a/{'b' * 60_000}")).content) < 1000


async def test_forms(service: Service) -> None:
    """They are named, whatever is in them, and the response says that an object is wanted."""
    forms: list[tuple[dict[str, Any], str]] = [
        ({"files": {"image": b"\x89PNG\r\n"}, "data": {"prompt": "a"}}, "The body is multipart/form-data."),
        ({"files": {"image": b"," * 500_000}}, "The body is multipart/form-data."),
        ({"data": {"prompt": "a girl"}}, "The body is a form."),
    ]
    for form, hint in forms:
        response = await service.client.post(URL, **form)

        assert 400 == response.status_code
        assert hint in response.json()["message"]
        assert "JSON object" in response.json()["message"]
