"""Fetches a model from the hub, or finds it in the hub's cache on this machine.

python -m pipelet.engine.diffusers.loading.hub owner/name    # fetches only what tells which model it is
"""

import errno
import sys
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pipelet.domain.errors import ModelLoadError
from pipelet.proxies import Proxy, causes_of

_USE_A_FOLDER = "Copy the model into a folder and point PIPELET_MODEL at that."
_TOO_MANY_REQUESTS = 429


def fetch(source: str, *, variant: str = "", allow_pickle: bool = False) -> str:
    """The folder of the model `owner/name`, or `owner/name@revision`, with the files that its pipeline needs.

    Raises:
        ModelLoadError: the hub does not give it out; the message says why and what to do.
    """
    repository, revision = split(source)
    try:
        # First, because it raises what the hub said; `download` raises that it is not in the cache.
        hf_hub_download(repository, "model_index.json", revision=revision)
        from diffusers import DiffusionPipeline  # slow to import, and what the hub refuses is known before

        files = {"variant": variant or None, "use_safetensors": None if allow_pickle else True}
        return str(DiffusionPipeline.download(repository, revision=revision, **files))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ModelLoadError(_describe(error, repository, revision)) from error


def split(source: str) -> tuple[str, str | None]:
    """Id and revision of a model on the hub: `owner/name@revision` pins a branch, a tag or a commit."""
    repository, _, revision = source.partition("@")
    return repository, revision or None


def _describe(error: Exception, repository: str, revision: str | None) -> str:
    causes = list(causes_of(error))

    def raised(*kinds: type[Exception]) -> BaseException | None:
        return next((each for each in causes if isinstance(each, kinds)), None)

    name = f"The model {repository}"
    if raised(GatedRepoError):
        return (
            f"{name} is gated: accept its licence at {constants.ENDPOINT}/{repository}, then set HF_TOKEN to a token "
            "of that account."
        )
    if raised(RepositoryNotFoundError, HFValidationError):
        return (
            f"{name} is neither a folder here nor a model that the hub shows. Check the spelling; for a private model "
            "set HF_TOKEN."
        )
    if raised(RevisionNotFoundError):
        return f"{name} has no revision {revision} on the hub. Name a branch, a tag or a commit that it has."
    if any(isinstance(each, EntryNotFoundError) and not isinstance(each, LocalEntryNotFoundError) for each in causes):
        return f"{name} has no model_index.json on the hub, so it is not in the layout of diffusers. Take one that is."
    if raised(OfflineModeIsEnabled):
        return (
            f"{name} is not complete in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set. Unset it for "
            f"the download. {_USE_A_FOLDER}"
        )
    answered = raised(HfHubHTTPError)
    if isinstance(answered, HfHubHTTPError) and answered.response is not None:
        return _of_status(answered.response.status_code, name)
    full = next((each for each in causes if isinstance(each, OSError) and each.errno == errno.ENOSPC), None)
    if full is not None:
        return f"{name} does not fit on the disk of {constants.HF_HUB_CACHE}. Free space, or set HF_HOME."
    if any("necessary `safetensors` weights" in str(each) or "variant=" in str(each) for each in causes):
        return (
            f"{name} has no safetensors of the variant that is asked for on the hub. Set `variant` in its entry in the "
            'catalog, such as variant = "fp16", or, where its weights are pickles and you trust its source, '
            "allow_pickle = true."
        )
    root = causes[-1]
    return (
        f"{name} could not be fetched from the hub ({type(root).__name__}: {root}), and is not complete in the cache "
        f"{constants.HF_HUB_CACHE}. Check {_connection()}. {_USE_A_FOLDER}"
    )


def _connection() -> str:
    """To the hub, by way of the proxy that the environment names: its client takes that for hosts of every kind."""
    host = urlsplit(constants.ENDPOINT).hostname or ""
    proxies = {} if proxy_bypass(host) else getproxies()
    for name in (urlsplit(constants.ENDPOINT).scheme, "all"):
        if url := proxies.get(name):
            return f"the connection to {constants.ENDPOINT} by the {Proxy(url, f'{name.upper()}_PROXY')}"
    return f"the connection to {constants.ENDPOINT}"


def _of_status(status: int, name: str) -> str:
    if status == _TOO_MANY_REQUESTS:
        return f"{name} could not be fetched: the hub limits the rate of requests (429). Set HF_TOKEN, or wait a while."
    if status in (401, 403):
        return f"{name} could not be fetched: the hub refuses access ({status}). Check the spelling, and HF_TOKEN."
    return f"{name} could not be fetched: the hub answered {status}. Try again later. {_USE_A_FOLDER}"


if __name__ == "__main__":
    model, pinned = split(sys.argv[1])
    for small_file in ("model_index.json", "scheduler/scheduler_config.json"):
        hf_hub_download(model, small_file, revision=pinned)
