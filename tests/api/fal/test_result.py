"""GET …/requests/{id}, and the files behind its URLs."""

import pytest

from pipelet.domain.jobs.outcome import FailureKind
from tests.api.service import Service
from tests.support.jobs import APP


async def test_success(service: Service) -> None:
    """The result names every image of the batch, the first of them twice."""
    request_id = await service.submit("two boards", batch_size=2, width=64, height=96, seed=7)
    await service.succeed(await service.claim(), seconds=0.5)

    response = await service.client.get(service.result_path(request_id))

    result = response.json()
    assert response.status_code == 200
    assert response.headers["x-fal-request-id"] == request_id
    assert result.keys() == {"image", "results", "images", "seed", "prompt", "has_nsfw_concepts", "timings"}
    assert result["results"] == [image["url"] for image in result["images"]]
    assert len(set(result["results"])) == 2
    assert result["image"] == {"data_uri": result["results"][0], "file_name": result["images"][0]["file_name"]}
    assert result["image"]["file_name"] == "2DPBix_z_image_text_to_image__00001_.png"
    del result["images"][1]["url"]
    assert result["images"][1] == {
        "file_name": "2DPBix_z_image_text_to_image__00002_.png",
        "content_type": "image/png",
        "file_size": 9,
        "width": 64,
        "height": 96,
        "seed": 8,
    }
    assert (result["seed"], result["prompt"], result["timings"]) == (7, "two boards", {"inference": 0.5})
    assert result["has_nsfw_concepts"] == [False, True]


@pytest.mark.parametrize("tail", ["/", "/response", "/response/"])
async def test_other_paths_to_it(service: Service, tail: str) -> None:
    """A trailing slash and fal's older name lead to the same result."""
    request_id = await service.submit()
    await service.succeed(await service.claim())

    plain = await service.client.get(service.result_path(request_id))
    other = await service.client.get(service.result_path(request_id) + tail)

    assert (other.status_code, other.content) == (200, plain.content)


async def test_urls_are_signed_again(service: Service) -> None:
    """URLs are signed when the result is read, so an old result has fresh ones."""
    request_id = await service.submit()
    await service.succeed(await service.claim())
    before = (await service.client.get(service.result_path(request_id))).json()["results"][0]
    service.clock.time += 3600
    after = (await service.client.get(service.result_path(request_id))).json()["results"][0]

    assert before != after
    service.clock.time += 3600
    assert (await service.client.get(before)).status_code == 403
    assert (await service.client.get(after)).status_code == 200


@pytest.mark.parametrize("claimed", [False, True])
async def test_in_progress(service: Service, claimed: bool) -> None:
    """Until it has ended, the result is 400."""
    request_id = await service.submit()
    if claimed:
        await service.claim()

    response = await service.client.get(service.result_path(request_id))

    assert response.status_code == 400
    assert response.json()["detail"] == "Request is still in progress"
    assert response.headers["x-fal-request-id"] == request_id


async def test_cancelled(service: Service) -> None:
    """A cancelled request's result is 499."""
    request_id = await service.submit()
    await service.client.put(f"{service.result_path(request_id)}/cancel")

    response = await service.client.get(service.result_path(request_id))

    assert response.status_code == 499
    assert response.headers["x-fal-error-type"] == "client_cancelled"
    assert response.json() == {
        "detail": "Request cancelled by the client.",
        "message": "Request cancelled by the client.",
        "error_type": "client_cancelled",
    }


@pytest.mark.parametrize("kind", [FailureKind.INTERNAL, FailureKind.WORKER_LOST, FailureKind.OUT_OF_MEMORY])
async def test_failed(service: Service, kind: FailureKind) -> None:
    """A request that failed for our reasons is 500, with the reason."""
    request_id = await service.submit()
    await service.fail(await service.claim(), kind, "The pipeline raised.")

    response = await service.client.get(service.result_path(request_id))

    assert response.status_code == 500
    assert response.headers["x-fal-error-type"] == kind.value
    assert response.json() == {
        "detail": "The pipeline raised.",
        "message": "The pipeline raised.",
        "error_type": kind.value,
    }


async def test_failed_by_its_input(service: Service) -> None:
    """A request that the model cannot generate is 422, in the shape of other refused input."""
    request_id = await service.submit()
    await service.fail(await service.claim(), FailureKind.INVALID_INPUT, "The prompt has 1600 tokens; 1504 fit.")

    response = await service.client.get(service.result_path(request_id))

    assert response.status_code == 422
    assert response.json()["message"] == "The prompt has 1600 tokens; 1504 fit."
    assert response.json()["detail"][0]["type"] == "value_error"
    assert response.json()["detail"][0]["loc"] == ["body"]


async def file_url(service: Service, data: bytes) -> str:
    request_id = await service.submit()
    await service.succeed(await service.claim(), data=data)
    url: str = (await service.client.get(service.result_path(request_id))).json()["results"][0]
    del service.client.headers["Authorization"]
    return url


async def test_file(service: Service) -> None:
    """A signed URL fetches the file without a key, and no shared cache keeps it."""
    response = await service.client.get(await file_url(service, b"\x89PNG"))

    assert (response.status_code, response.content) == (200, b"\x89PNG")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "private"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-disposition"] == 'inline; filename="2DPBix_z_image_text_to_image__00001_.png"'


async def test_file_head_and_range(service: Service) -> None:
    """A file can be asked for its size and read in pieces."""
    url = await file_url(service, b"0123456789")

    head = await service.client.head(url)
    piece = await service.client.get(url, headers={"Range": "bytes=2-4"})
    beyond = await service.client.get(url, headers={"Range": "bytes=90-"})

    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    assert (piece.status_code, piece.content, piece.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")
    assert beyond.json()["detail"] == beyond.json()["message"] == "The range begins after the end of the file."


@pytest.mark.parametrize("unreadable", ["bytes=", "bytes=a-b", "bytes=4-2", "bytes", "seconds=1-2"])
async def test_file_range_that_cannot_be_read(service: Service, unreadable: str) -> None:
    """A Range header that makes no sense is refused like any other mistake: in our shape, saying what to do."""
    response = await service.client.get(await file_url(service, b"0123456789"), headers={"Range": unreadable})

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert "leave the header out" in response.json()["detail"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("signature=", "signature=0"), ("expires=", "expires=9"), ("__00001_", "__00002_"), ("expires", "expired")],
)
async def test_file_url_that_was_changed(service: Service, old: str, new: str) -> None:
    """A URL with any changed part is refused."""
    url = await file_url(service, b"x")

    response = await service.client.get(url.replace(old, new))

    assert response.status_code == 403
    assert response.json()["message"]


async def test_file_that_is_gone(service: Service) -> None:
    """A URL that outlived its file is 404."""
    url = await file_url(service, b"x")
    await service.blobs.delete("outputs/z_image_text_to_image_api/2DPBix_z_image_text_to_image__00001_.png")

    assert (await service.client.get(url)).status_code == 404


@pytest.mark.parametrize("path", ["/turbo", "/turbo/lora"])
async def test_the_rest_of_a_longer_app_name(service: Service, path: str) -> None:
    """Reads and cancels work as well where it is kept between the app and the request, as fal's own examples do."""
    request_id = await service.submit()
    longer = f"/fal/queue/{APP}{path}/requests/{request_id}"

    status = await service.client.get(f"{longer}/status")
    result = await service.client.get(longer)
    cancel = await service.client.put(f"{longer}/cancel/")
    over = await service.client.get(f"{longer}/response")

    assert [202, 400, 202, 499] == [each.status_code for each in (status, result, cancel, over)]
    assert status.json()["request_id"] == request_id


async def test_every_error_tells_its_kind(service: Service) -> None:
    """In the header that fal's clients read, also where the body is a list of faults, and whether to try again."""
    request_id = await service.submit()
    responses = [
        await service.client.get(service.result_path(request_id)),
        await service.client.get(service.result_path(request_id), headers={"Authorization": ""}),
        await service.client.get(service.result_path("0" * 20)),
        await service.client.delete(service.result_path(request_id)),
        await service.client.post(f"/fal/queue/{APP}", json={"prompt": 5}),
        await service.client.post(f"/fal/queue/{APP}?fal_max_queue_length=0", json={"prompt": "a"}),
    ]

    expected = [
        (400, "bad_request", "0"),
        (401, "unauthorized", "0"),
        (404, "not_found", "0"),
        (405, "method_not_allowed", "0"),
        (422, "string_type", "0"),
        (429, "queue_too_long", "1"),
    ]
    told = [
        (each.status_code, each.headers["x-fal-error-type"], each.headers["x-fal-needs-retry"]) for each in responses
    ]
    assert expected == told
