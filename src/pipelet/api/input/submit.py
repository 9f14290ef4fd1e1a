"""Submit the parsed input of an app, for every API."""

from pipelet.api.dependencies import Dependencies
from pipelet.api.errors import Problem, error_detail, validation_problem
from pipelet.api.input.idempotency import key_reused
from pipelet.api.input.parse import Loc
from pipelet.api.input.schema import IMAGE_URL, IMAGE_URLS
from pipelet.domain.errors import IdempotencyKeyReused, InvalidInputImages
from pipelet.services.requests.submit import NewRequest, RequestInput, SubmitResult


async def submit_new(deps: Dependencies, new: NewRequest, *, loc: Loc = ("body",)) -> SubmitResult:
    """
    Args:
        loc: where the input is in the request, for errors.

    Raises:
        Problem: 422 for images that cannot be used, each at the field that named it, and for an idempotency key that
            was sent before with another input.
        PipeletError: the request is refused for another reason. Nothing was queued.
    """
    try:
        return await deps.submits.submit(new)
    except InvalidInputImages as error:
        raise _invalid_images(error, new.input, loc) from error
    except IdempotencyKeyReused as error:
        raise key_reused(error) from error


def _invalid_images(error: InvalidInputImages, sent: RequestInput, loc: Loc) -> Problem:
    faults = []
    for number, each in error.failures.items():
        field: Loc = (IMAGE_URL,) if sent.fields.get(IMAGE_URL) is not None else (IMAGE_URLS, number)
        url = sent.image_urls[number]
        faults.append(error_detail([*loc, *field], str(each), each.kind, sent=url, context=each.context))
    return validation_problem(*faults)
