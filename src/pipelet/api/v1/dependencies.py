"""The services that the handlers of `/api/v1` share, and how they get them."""

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from pipelet.api.v1.session.cookies import SessionCookie
from pipelet.domain.accounts.limits import UserLimits
from pipelet.domain.catalog import Catalog
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.audit import ContentReads
from pipelet.services.accounts.failed_logins import FailedLogins
from pipelet.services.accounts.sessions import Sessions
from pipelet.services.input_images.uploads import Uploads
from pipelet.services.queue.diagnosis import Diagnose
from pipelet.services.queue.estimates import Estimates
from pipelet.services.queue.storage import StorageReports
from pipelet.services.requests.actions import RequestActions
from pipelet.services.requests.bulk import BulkActions
from pipelet.services.requests.lists import RequestLists
from pipelet.services.requests.predictions import Predictions
from pipelet.services.thumbnails.thumbnails import Thumbnails


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What signs browsers in, and what notes who read the content of others."""

    sessions: Sessions
    cookie: SessionCookie
    failed_logins: FailedLogins
    content_reads: ContentReads


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Other routes add their services here."""

    store: Store
    catalog: Catalog
    accounts: Accounts
    default_limits: UserLimits
    """Limits of new users."""
    estimates: Estimates
    request_lists: RequestLists
    request_actions: RequestActions
    bulk_actions: BulkActions
    predictions: Predictions
    thumbnails: Thumbnails
    uploads: Uploads
    storage: StorageReports
    diagnose: Diagnose | None
    """None in a process that was not started by a command."""


def get_services(request: Request) -> Services:
    return cast(Services, request.scope["app"].state.v1)
