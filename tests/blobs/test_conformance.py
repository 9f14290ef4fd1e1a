"""What every store of files promises. Files are fetched over HTTP, as clients do."""

import asyncio
import os
import re

import pytest

from pipelet.domain.errors import NotFound
from tests.blobs.conftest import Shelf
from tests.support.waiting import until

KEY = "outputs/z_image_text_to_image_api/2DPBix_z_image_text_to_image__00001_.png"
OTHER = KEY.replace("00001", "00002")


async def test_a_file_is_fetched_by_its_url_without_a_key(shelf: Shelf) -> None:
    """It comes back byte for byte, as the type that it was stored as."""
    pixels = os.urandom(12_000_000)  # more than the parts in which libraries like to upload
    await shelf.blobs.put(KEY, pixels, "image/png")

    found = await shelf.fetch(shelf.url(KEY))

    assert (200, "image/png") == (found.status_code, found.headers["content-type"])
    assert pixels == found.content


async def test_a_part_of_a_file_can_be_fetched(shelf: Shelf) -> None:
    """Downloads that broke off continue where they were."""
    await shelf.blobs.put(KEY, b"pixels", "image/png")

    found = await shelf.fetch(shelf.url(KEY), Range="bytes=2-3")

    assert (206, b"xe") == (found.status_code, found.content)


async def test_storing_a_file_again_is_fine(shelf: Shelf) -> None:
    """The response to the first time may have been lost on its way."""
    await shelf.blobs.put(KEY, b"pixels", "image/webp")
    await shelf.blobs.put(KEY, b"pixels", "image/webp")

    assert b"pixels" == (await shelf.fetch(shelf.url(KEY))).content


async def test_files_do_not_get_into_each_others_way(shelf: Shelf) -> None:
    """Many are stored at once, each under its own URL."""
    keys = [KEY.replace("00001", f"{number:05d}") for number in range(1, 17)]

    await asyncio.gather(*(shelf.blobs.put(key, key.encode(), "image/png") for key in keys))

    found = await asyncio.gather(*(shelf.fetch(shelf.url(key)) for key in keys))
    assert [key.encode() for key in keys] == [each.content for each in found]


async def test_a_changed_url_opens_nothing(shelf: Shelf) -> None:
    """Whatever is changed or left out: the key, the time, the signature or what it is made with."""
    await shelf.blobs.put(KEY, b"pixels", "image/png")
    await shelf.blobs.put(OTHER, b"other pixels", "image/png")
    url = shelf.url(KEY)
    path, _, query = url.partition("?")
    changed = [f"{path}?{query[: end - 1]}{'1' if query[end - 1] != '1' else '2'}{query[end:]}" for end in ends(query)]
    shorter = [
        f"{path}?{'&'.join(part for part in query.split('&') if part != left_out)}" for left_out in query.split("&")
    ]

    found = [await shelf.fetch(each) for each in (*changed, *shorter, path, url.replace(KEY, OTHER))]

    assert set() == {each.status_code for each in found} - {400, 403}
    assert not any(b"pixels" in each.content for each in found)
    assert 200 == (await shelf.fetch(url)).status_code


def ends(query: str) -> list[int]:
    """Where each value of a query ends."""
    return [found.end() for found in re.finditer(r"=[^&]+", query)]


async def test_a_url_cannot_be_made_to_live_longer(shelf: Shelf) -> None:
    """A client that writes a later time into its URL is refused."""
    await shelf.blobs.put(KEY, b"pixels", "image/png")
    url = shelf.url(KEY)
    found = re.search(r"expires=(\d+)", url, re.IGNORECASE)
    assert found is not None

    later = url[: found.start(1)] + str(int(found[1]) + 60) + url[found.end(1) :]

    assert 403 == (await shelf.fetch(later)).status_code


async def test_a_url_ends_with_its_time(make_shelf) -> None:
    """It opens the file until then, and afterwards a fresh one does."""
    shelf = await make_shelf(2)
    await shelf.blobs.put(KEY, b"pixels", "image/png")
    url = shelf.url(KEY)
    assert 200 == (await shelf.fetch(url)).status_code

    async def refusal():
        found = await shelf.fetch(url)
        return found if found.status_code != 200 else None

    refused = await until(refusal)

    assert 403 == refused.status_code
    assert b"pixels" not in refused.content
    assert 200 == (await shelf.fetch(shelf.url(KEY))).status_code


async def test_a_deleted_file_is_gone_and_may_be_deleted_again(shelf: Shelf) -> None:
    """Deleting is final, can be repeated, and touches no other file."""
    await shelf.blobs.put(KEY, b"pixels", "image/png")
    await shelf.blobs.put(OTHER, b"other pixels", "image/png")

    await shelf.blobs.delete(KEY)
    await shelf.blobs.delete(KEY)
    await shelf.blobs.delete("outputs/never/there.png")

    assert 404 == (await shelf.fetch(shelf.url(KEY))).status_code
    assert b"other pixels" == (await shelf.fetch(shelf.url(OTHER))).content


async def test_a_store_that_is_well_says_so(shelf: Shelf) -> None:
    """Looking at it is fine before the first file and after, and as often as one likes."""
    await shelf.blobs.check()
    await shelf.blobs.put(KEY, b"pixels", "image/png")
    await shelf.blobs.check()


@pytest.mark.parametrize("key", ["outputs/a/ä b+c%25.png", "outputs/a/x=1&y=2.png"])
async def test_keys_may_hold_what_urls_may_not(shelf: Shelf, key: str) -> None:
    """They are escaped where they have to be."""
    await shelf.blobs.put(key, b"pixels", "image/png")

    assert b"pixels" == (await shelf.fetch(shelf.url(key))).content


async def test_a_file_is_read_back(shelf: Shelf) -> None:
    """By its key, byte for byte; one that was never stored, or is deleted, is not found."""
    pixels = os.urandom(12_000_000)
    await shelf.blobs.put(KEY, pixels, "image/png")

    assert pixels == await shelf.blobs.get(KEY)
    await shelf.blobs.delete(KEY)
    for key in (KEY, OTHER):
        with pytest.raises(NotFound):
            await shelf.blobs.get(key)


async def test_a_file_is_read_in_pieces(shelf: Shelf) -> None:
    """They are the file together, and none is larger than a mebibyte; of a file that is not there, there is none."""
    pixels = os.urandom(2_500_000)
    await shelf.blobs.put(KEY, pixels, "image/png")

    pieces = [piece async for piece in shelf.blobs.stream(KEY)]

    assert pixels == b"".join(pieces)
    assert max(map(len, pieces)) <= 1024 * 1024
    with pytest.raises(NotFound):
        await anext(shelf.blobs.stream(OTHER))
