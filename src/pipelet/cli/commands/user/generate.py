"""`pipelet generate`: one request, from the prompt to the files."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pipelet.cli.database import CommandError
from pipelet.cli.download import prepare, save
from pipelet.cli.options import DEFAULT_CONNECTION, AsJson, ConnectionOptions, connect
from pipelet.cli.progress import follow
from pipelet.client import ANY_APP, Client
from pipelet.client_types import NotCancellable, Submitted
from pipelet.domain.catalog import EDIT
from pipelet.system.text import visible

INTERRUPTED = 130


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Fields of the request, by the service's names; those that are not given are left to it."""

    width: int | None = None
    """Pixels, kept exactly. [default: 1024]"""
    height: int | None = None
    """Pixels, kept exactly. [default: 1024]"""
    batch_size: int | None = None
    """Number of images. [default: 1]"""
    num_inference_steps: Annotated[int | None, Parameter(name="--steps")] = None
    """Denoising steps; more take longer. [default: the model's]"""
    guidance_scale: Annotated[float | None, Parameter(name="--guidance")] = None
    """How closely to follow the prompt; 0 turns guidance off. [default: the model's]"""
    seed: int | None = None
    """Image k of a batch uses seed + k. [default: random]"""
    negative_prompt: str | None = None
    """What to avoid."""
    output_format: Annotated[Literal["png", "jpeg", "webp"] | None, Parameter(name="--format")] = None
    """Format of the files. [default: png]"""
    priority: int | None = None
    """Requests of a higher priority run first. [default: 0]"""


_DEFAULTS = ImageOptions()


def generate(
    prompt: str,
    /,
    *,
    fields: ImageOptions = _DEFAULTS,
    image: Annotated[Sequence[Path], Parameter(negative=(), show_default=False)] = (),
    app: str | None = None,
    out: Path = Path(),
    as_json: AsJson = False,
    wait: Annotated[bool, Parameter(name="--wait", negative="--no-wait", show_default=False)] = True,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Generate images: send a prompt to the service, show the progress, save the files and print their paths.

    For example:

        pipelet generate "a red apple on a light blue background" --width 256 --height 256

        pipelet generate "a lemon and a tomato on a blue background" --width 3200 --height 2000 --batch-size 4

        pipelet generate "a ghost in the bottom left corner" --seed 7 --format webp --out images

        pipelet generate "a lemon on a blue background" --image apple.jpg

    The demo model knows about a hundred things, alone or in pairs; its README.md lists them. For images of anything
    else start the service with `pipelet serve --model z-image-turbo`.

    Ctrl-C cancels a queued request. A running request continues: `pipelet status ID --out .` fetches it later, and
    `pipelet cancel ID --running` stops it.

    With --json it prints the id of the request, the files and the response of the service.

    Parameters
    ----------
    prompt
        Text that describes the image.
    image
        Image to edit, which is uploaded; once for each, in their order.
    app
        App that the request is sent to. [default: z-image-text-to-image; with --image, the first that edits images]
    out
        Folder for the files; created if missing.
    wait
        Wait for the end; --no-wait prints the id of the request at once.
    """
    if wait:
        prepare(out)
    given = {name: value for name, value in asdict(fields).items() if value is not None}
    files = [_read(path) for path in image]
    with connect(connection) as client:
        if files:
            app = app or _edit_app(client)
            given["image_urls"] = [client.upload(each).url for each in files]
        submitted = client.submit(app or ANY_APP, prompt=prompt, **given)
        if not wait:
            print(json.dumps(submitted.body) if as_json else visible(submitted.request_id))
            return 0
        return _wait_and_save(client, submitted, out, as_json=as_json)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"Reading the image {path} failed: {error.strerror or error}. Name another one.") from error


def _edit_app(client: Client) -> str:
    for app in client.apps():
        if app.get("task") == EDIT:
            return str(app["name"])
    raise CommandError("This service has no app that edits images. Leave --image out, or name an app with --app.")


def _wait_and_save(client: Client, submitted: Submitted, out: Path, *, as_json: bool) -> int:
    request_id = submitted.request_id
    try:
        follow(client, request_id)
    except KeyboardInterrupt:
        _cancel(client, request_id)
        return INTERRUPTED
    result = client.result(request_id)
    paths = save(client, request_id, result, out)
    if as_json:
        print(
            json.dumps({"request_id": request_id, "files": [str(path) for path in paths], "result": dict(result.body)})
        )
    else:
        print("\n".join(map(str, paths)))
    return 0


def _cancel(client: Client, request_id: str) -> None:
    try:
        client.cancel(request_id)
    except NotCancellable as error:
        continues = f"is running and continues. Stop it: pipelet cancel {request_id} --running"
        print(f"Request {request_id} {continues if error.is_running else 'has ended.'}", file=sys.stderr)
        print(f"Fetch it later: pipelet status {request_id} --out .", file=sys.stderr)
    else:
        print(f"Cancelled: request {request_id} was queued, and will not run.", file=sys.stderr)
