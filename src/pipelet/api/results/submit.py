"""Submit a request of another API, translated to the input of an app."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from fastapi import Request

from pipelet.api.dependencies import Dependencies
from pipelet.api.errors import Problem
from pipelet.api.input.parse import counted_refusals, get_input_schemas
from pipelet.api.input.submit import submit_new
from pipelet.api.request_urls import public_base_url
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import App
from pipelet.services.requests.submit import DEFAULT_OPTIONS, NewRequest, SubmitOptions, SubmitResult


class Translation(Protocol):
    """A request of another API, translated to the input of an app."""

    @property
    def app(self) -> App: ...

    @property
    def fields(self) -> Mapping[str, Any]:
        """The input of the app, not validated."""

    def renamed(self, problem: Problem) -> Problem:
        """The errors of the input of the app, with the names that were sent."""


async def submit_translated(
    deps: Dependencies,
    request: Request,
    key: ApiKey,
    found: Translation,
    *,
    options: SubmitOptions = DEFAULT_OPTIONS,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> SubmitResult:
    """
    Args:
        values: further ones, which are no fields of the app's input.

    Raises:
        Problem: 422 with the errors of the input, by the names that were sent.
        PipeletError: the request is refused for another reason. Nothing was queued.
    """
    base_url = public_base_url(deps.public_url, request.scope)
    try:
        with counted_refusals(deps.submits.refusals, key.user):
            parsed = get_input_schemas(request).parse(found.app, found.fields, key)
        parsed = replace(parsed, values={**parsed.values, **values}, fields={**parsed.fields, **values})
        new = NewRequest(app=found.app, key=key, input=parsed, base_url=base_url, options=options)
        return await submit_new(deps, new)
    except Problem as problem:
        raise found.renamed(problem) from problem
