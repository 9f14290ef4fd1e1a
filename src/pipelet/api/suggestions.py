"""Hints in error messages, mostly for callers who know another API: the name that a thing has here."""

import difflib
import re
from collections.abc import Iterable, Sequence

_HINTS = {
    "Did you mean 'batch_size'?": ("n", "num_images", "num_outputs"),
    "Did you mean 'guidance_scale'?": ("cfg", "cfg_scale"),
    "Did you mean 'num_inference_steps'?": ("steps",),
    "Did you mean 'output_format'?": ("format",),
    "Give 'width' and 'height', in pixels.": ("aspect_ratio", "image_size", "resolution", "size"),
    "Leave it out: masks are not supported.": ("mask", "mask_image_url", "mask_url"),
    "Leave it out: results hold URLs.": ("sync_mode",),
    "Leave it out: the prompt is used as it is.": ("enable_prompt_expansion", "expand_prompt"),
    "Leave it out: there is no safety checker.": ("enable_safety_checker", "safety_tolerance"),
    "Leave it out: every request is as fast as the device allows.": ("acceleration",),
    "Leave it out: no LoRA is served here.": ("lora", "loras"),
}
_HINT_OF = {name: hint for hint, names in _HINTS.items() for name in names}
"""Hints by the name of a field in fal's own models or in other APIs."""
_INPUT_IMAGES = ("image", "image_url", "image_urls", "images", "init_image")

_STRENGTHS = ("strength", "denoising_strength", "image_prompt_strength")
_NO_STRENGTH = (
    "Leave it out: the model of this app generates a new image from the prompt and the input images. Describe in the "
    "prompt what to keep."
)


def field_hint(name: str, known: Sequence[str], *, edit_app: str | None) -> str:
    """Hint for an unknown field; `edit_app` is the app to call with images, if there is one."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("-", "_")
    if plain in _INPUT_IMAGES and "image_urls" not in known:
        return f"This app starts from no image{f': call {edit_app}' if edit_app else ''}."
    if plain in _STRENGTHS and "strength" not in known:
        return _NO_STRENGTH if "image_urls" in known else "Leave it out: this app starts from no image."
    if plain in _HINT_OF and plain not in known:
        return _HINT_OF[plain]
    return name_hint(plain, known)


def name_hint(name: str, known: Sequence[str], *, what: str = "fields") -> str:
    """Hint for an unknown name: the nearest known one, or else all of them. `what` is what has these names."""
    likely = [name] if name in known else difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{likely[0]}'?" if likely else f"The {what} are: {', '.join(known)}."


def one_typo_from(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs from `name` by one character that is wrong, missing or too many, or by two that have
    changed places."""
    return next((each for each in known if _is_one_typo(name, each)), None)


def _is_one_typo(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    same = next((at for at, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    rest, other_rest = shorter[same:], longer[same:]
    if len(shorter) < len(longer):
        return rest == other_rest[1:]
    return rest[1:] == other_rest[1:] or (rest[1::-1] == other_rest[:2] and rest[2:] == other_rest[2:])


def choice_hint(sent: object, choices: Sequence[str]) -> str:
    """Hint for a value that is not one of `choices`."""
    text = str(sent).lower().removeprefix("image/") if isinstance(sent, str) else ""
    meant = "jpeg" if text == "jpg" else text
    if meant in choices:
        return f"Did you mean '{meant}'?"
    *first, last = (f"'{each}'" for each in choices)
    return f"Give {', '.join(first)} or {last}."


def path_hint(path: str, apps: Iterable[str], fal_ids: Sequence[str] = ()) -> str:
    """Hint for an unknown path; `apps` and `fal_ids` are those that take requests."""
    example = f"/fal/queue/{next(iter(apps), '<app>')}"
    missing = "There is nothing at this path."
    if path.rstrip("/").endswith("/requests"):
        return _list_hint(example)
    if re.match(r"/(queue|run)/[a-z0-9-]{1,64}(/|$)", path):
        return f"{missing} Did you mean /fal{path[:200]}?"
    if found := re.match(r"(/fal(/queue|/run)?)?/(fal-ai/.{1,100})", path):
        if found[3] in fal_ids:
            return f"{missing} Did you mean /fal/{found[3]}?"
        served = f"Ids of fal's that are: {', '.join(fal_ids)}. Other" if fal_ids else "Here,"
        return f"{found[3]} is not served here. {served} apps are called as {example}."
    if path.startswith(("/images/", "/models")):
        return f"{missing} Did you mean /v1{path[:200]}?"
    if path.startswith(("/v1beta/", "/predictions")):
        return f"{missing} This service has fal's API, and OpenAI's under /v1: requests are sent to {example}."
    return missing


def method_hint(method: str, path: str, allowed: str, apps: Iterable[str]) -> str:
    """Hint for a path that does not take this method."""
    if method == "GET" and path.rstrip("/").endswith("/requests"):
        return _list_hint(f"/fal/queue/{next(iter(apps), '<app>')}")
    return f"{method} is not allowed here{f', only {allowed}' if allowed else ''}."


def _list_hint(app_path: str) -> str:
    return f"Requests are listed at /api/v1/requests. Read one by its id, at {app_path}/requests/<request_id>."
