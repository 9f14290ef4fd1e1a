"""The key of a call: also as the password of Basic, which is how clients of AUTOMATIC1111's API send one.

Browsers send Basic by themselves once they have been asked for it. So this API never asks for it, and refuses it from
pages of other origins.
"""

import base64
import binascii

from fastapi import Request
from starlette.types import Scope

from pipelet.api.auth import authenticate, authenticate_hash
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import Problem
from pipelet.api.request_urls import client_address
from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, is_well_formed
from pipelet.domain.accounts.scopes import Scope as KeyScope
from pipelet.domain.errors import AuthenticationError
from pipelet.services.accounts.access import Caller

_BASIC = b"basic "
_OTHER_SITES = (b"cross-site", b"same-site")


async def find_caller(request: Request) -> Caller:
    """
    Raises:
        AuthenticationError: no valid key; the message says how to fix it.
        Problem: 403 for Basic from a page of another origin.
        MissingScope: the key may not generate.
    """
    caller = Caller(await _find_key(request), client_address(request.scope))
    caller.require(KeyScope.GENERATE)
    return caller


async def _find_key(request: Request) -> ApiKey:
    deps, scope = get_dependencies(request), request.scope
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1 or values[0][: len(_BASIC)].lower() != _BASIC:
        return await authenticate(deps, scope)
    if _is_from_a_page(scope):
        raise Problem(403, "Basic is not taken from web pages. Send `Authorization: Bearer <key>`.")
    return await authenticate_hash(deps, scope, hash_secret(_password_in(values[0])))


def _is_from_a_page(scope: Scope) -> bool:
    return any(
        name == b"origin" or (name == b"sec-fetch-site" and value in _OTHER_SITES) for name, value in scope["headers"]
    )


def _password_in(header: bytes) -> str:
    try:
        text = base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise AuthenticationError("The Authorization header must read `Basic <base64 of user:key>`.") from error
    secret = text.partition(":")[2]
    if not is_well_formed(secret):
        raise AuthenticationError("The password is no key of this service: keys start with `pipelet_`. Any user does.")
    return secret
