"""The files of the page as they are: sizes, types, vendored libraries, and the tests of their logic on Node."""

import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

from pipelet.api.ui.assets import Assets
from tests.docs.test_docs import ROOT
from tests.support.browsers import npm_package
from tests.support.installed import NODE
from tests.web.source.api_types import API_TYPES, PAGE, api_types

VENDOR = PAGE / "vendor"
SERVED = {".html", ".js", ".css", ".svg"}
MAX_KB, MAX_KB_OF_FIRST_VIEW = 150, 60
UNITS = Path(__file__).parents[1] / "units"
SOURCES = [path for path in PAGE.rglob("*") if path.suffix in SERVED and VENDOR not in path.parents]


def test_the_page_is_small() -> None:
    """Over the wire, the frame and the first page have at most 60 kB, and all of the page 150 kB."""
    assets = Assets.read()
    modules = {
        name for entry in ("js/main.js", "js/pages/playground/playground.js") for name in assets.imported_by(entry)
    }
    styles = {f"css/{name}.css" for name in ("base", "components", "generate")}
    sizes = {name: len(assets.files[name].compressed) for name in modules | styles | {"js/boot.js", "icon.svg"}}

    assert sum(sizes.values()) + len(assets.page) <= MAX_KB_OF_FIRST_VIEW * 1000, sizes
    assert sum(len(each.compressed) for each in assets.files.values()) <= MAX_KB * 1000


def test_libraries_are_those_that_were_vendored() -> None:
    """Each file has the hash that `make vendor` recorded, no file is unrecorded, and each library has its licence."""
    recorded = tomllib.loads((VENDOR / "VENDOR.toml").read_text("utf-8"))
    files = {path.name for path in VENDOR.iterdir() if path.suffix in SERVED}
    hashes = {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in files}

    assert {name: file["sha256"] for name, file in recorded["files"].items()} == hashes
    assert all(package["version"] and package["license"] for package in recorded["packages"].values())
    assert all((VENDOR / f"{name}.LICENSE").exists() for name in recorded["packages"])


def test_nothing_comes_from_elsewhere() -> None:
    """No file of the page names another host: what it loads and calls is of the service that served it."""
    names = re.compile(r"\b(?:https?|wss?)://[^\s\"'`)<>]+")
    found = {path: names.findall(path.read_text("utf-8")) for path in SOURCES}

    allowed = "http://www.w3.org/"  # names of XML, never loaded
    assert {} == {path.name: urls for path, urls in found.items() if any(not url.startswith(allowed) for url in urls)}


def test_scripts_are_checked() -> None:
    """Each has its types checked, and makes no elements of texts."""
    texts = {path.name: path.read_text("utf-8") for path in SOURCES if path.suffix == ".js"}
    unsafe = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")

    assert [] == [name for name, text in texts.items() if not text.startswith("// @ts-check\n")]
    assert [] == [name for name, text in texts.items() if unsafe.search(text)]


def test_the_types_of_the_api_are_those_of_the_service() -> None:
    """`api-types.d.ts` says what the OpenAPI document says. If not: `make docs`."""
    assert api_types() == API_TYPES.read_text("utf-8")


def test_types_are_right() -> None:
    """TypeScript finds no wrong type in the scripts."""
    compiler = npm_package("typescript") / "bin" / "tsc"
    done = subprocess.run(
        [str(NODE), str(compiler), "--project", str(Path(__file__).parent / "tsconfig.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout


def test_logic_does_what_its_own_tests_say() -> None:
    """The modules without a DOM pass their tests on Node (`tests/web/units`)."""
    files = sorted(UNITS.glob("*.test.js"))
    assert files
    options = ["--test", "--test-reporter=spec", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"]
    done = subprocess.run(
        [str(NODE), *options, *map(str, files)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
