"""axe-core in a page: what of it some people could not use."""

from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.support.browsers import npm_package

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
_RUN = """async (runOnly) => {
  const found = await axe.run(document, { runOnly, resultTypes: ["violations"] });
  return found.violations.map(({ id, help, nodes }) => ({
    id, help, where: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary}`),
  }));
}"""


def violations(page: Page) -> list[str]:
    """The rules that the page breaks as it is now, each with the elements that do: all in light, those of colours again
    in dark, which differs in nothing else."""
    found = _run(page, _RULES)
    page.emulate_media(color_scheme="dark")
    found += [f"In dark: {each}" for each in _run(page, _OF_COLOURS)]
    page.emulate_media(color_scheme="light")
    return found


def _run(page: Page, rules: object) -> list[str]:
    """The script is evaluated, not added as an element: the page's policy would rightly refuse that."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN, rules)
    return [f"{each['id']}: {each['help']}\n  " + "\n  ".join(each["where"]) for each in found]


@cache
def _source() -> str:
    return (npm_package("axe-core") / "axe.min.js").read_text("utf-8")
