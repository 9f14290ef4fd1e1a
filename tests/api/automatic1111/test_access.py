"""Keys as AUTOMATIC1111's clients send them, and what is listed before the first image."""

import base64

import pytest

from tests.api.service import Service

LISTS = ("options", "sd-models", "samplers", "schedulers", "upscalers", "sd-vae", "loras", "progress")


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


async def test_the_password_of_basic_is_a_key(service: Service) -> None:
    """Whatever the user is called. Bearer is taken, too."""
    for headers in (basic(f"any:{service.key}"), basic(f":{service.key}"), {"Authorization": f"Bearer {service.key}"}):
        assert 200 == (await service.client.get("/sdapi/v1/options", headers=headers)).status_code


@pytest.mark.parametrize("headers", [{}, basic("any:password"), basic("nocolon"), {"Authorization": "Basic !"}])
async def test_basic_is_never_asked_for(service: Service, headers: dict[str, str]) -> None:
    """A browser that is asked for it would send it to every page from then on."""
    del service.client.headers["Authorization"]
    response = await service.client.get("/sdapi/v1/options", headers=headers)

    assert (401, "Bearer") == (response.status_code, response.headers["www-authenticate"])


@pytest.mark.parametrize(
    "of_page", [{"Origin": "https://a.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
async def test_basic_of_a_page_is_refused(service: Service, of_page: dict[str, str]) -> None:
    """A key that the page itself knows is not; and no page of another origin may read the response."""
    refused = await service.client.post("/sdapi/v1/interrupt", headers=basic(f"any:{service.key}") | of_page)
    allowed = await service.client.post("/sdapi/v1/interrupt", headers=of_page)

    assert (403, 200) == (refused.status_code, allowed.status_code)
    assert "access-control-allow-origin" not in allowed.headers


async def test_basic_opens_no_other_api(service: Service) -> None:
    """The queue, /api/v1 and OpenAI's API take a key by its own scheme."""
    for path in ("/api/v1/apps", "/v1/models", "/fal/queue/z-image-text-to-image/requests/a/status"):
        assert 401 == (await service.client.get(path, headers=basic(f"any:{service.key}"))).status_code


async def test_lists_say_what_is_true(service: Service) -> None:
    """One sampler and scheduler, the model's own; checkpoints are the models; nothing can be upscaled."""
    found = {name: (await service.client.get(f"/sdapi/v1/{name}")).json() for name in LISTS}

    titles = [each["title"] for each in found["sd-models"]]
    assert ["demo", "demo-edit"] == titles
    assert "demo" == found["options"]["sd_model_checkpoint"]
    assert [["Default"], ["Automatic"], ["None"]] == [
        [each[name] for each in found[which]]
        for which, name in (("samplers", "name"), ("schedulers", "label"), ("upscalers", "name"))
    ]
    assert [] == found["sd-vae"] == found["loras"]
    assert {} == (await service.client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "another"})).json()
