"""What goes wrong in pages without a test that looks for it."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

_REPORT_REFUSALS = """
document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, sourceFile, lineNumber }) =>
  console.error(`policy: ${effectiveDirective} refuses ${blockedURI} ${sourceFile}:${lineNumber}`));
"""
_OF_A_RESPONSE = "Failed to load resource"
"""Beginning of what Chromium says in the console of a response, which has its own event."""
_ABORTED = "net::ERR_ABORTED"
"""The page itself has closed a stream, or gone elsewhere."""


class Faults:
    """Errors in the console, exceptions in scripts, refusals by the policy, requests that fail or get 400 and above.

    A test of a broken state allows what belongs to it.
    """

    def __init__(self) -> None:
        self._found: list[str] = []
        self._allowed: list[str] = []
        self._contexts: list[BrowserContext] = []

    def allow(self, *patterns: str) -> None:
        """Regular expressions, each for a part of a fault, such as `401 GET /api/v1/session`."""
        self._allowed += patterns

    def watch(self, context: BrowserContext) -> None:
        """Note the faults of all pages of this context."""
        context.add_init_script(_REPORT_REFUSALS)
        context.on("console", self._note_message)
        context.on("weberror", lambda error: self._found.append(f"exception: {error.error}"))
        context.on("requestfailed", self._note_failure)
        context.on("response", self._note_response)
        self._contexts.append(context)

    def check(self) -> None:
        """Fail if there are any that were not allowed."""
        for page in self.pages():
            page.evaluate("1")  # events before the response to this are delivered
        unexpected = [fault for fault in self._found if not any(re.search(each, fault) for each in self._allowed)]
        assert [] == unexpected, unexpected

    def pages(self) -> list[Page]:
        """All that are open."""
        return [page for context in self._contexts for page in context.pages]

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_OF_A_RESPONSE):
            self._found.append(f"console: {message.text}")

    def _note_failure(self, request: Request) -> None:
        if request.failure != _ABORTED:
            self._found.append(f"{request.failure} {_name(request)}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 400:
            self._found.append(f"{response.status} {_name(response.request)}")


def _name(request: Request) -> str:
    url = urlsplit(request.url)
    return f"{request.method} {url.path}{f'?{url.query}' if url.query else ''}"
