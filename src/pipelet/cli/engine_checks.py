"""What `pipelet doctor` looks at of the engine: its packages, its model, and whether it can be imported at all."""

import importlib.metadata
import importlib.util
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pipelet import wiring
from pipelet.cli.findings import Finding, fail, ok, warn
from pipelet.domain.catalog import Model
from pipelet.settings import Settings
from pipelet.system.processes import environment_without_secrets, module_path
from pipelet.wiring.devices import count_gpus

_IMPORT_SECONDS = 60.0
_INSTALL = "Install the engine: pip install 'pipelet-server[engine]'."


def packages() -> Finding:
    """By what pip knows; whether they work is the engine's check."""
    found, missing, wrong = [], [], []
    for name, wanted in _wanted_packages():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        found.append(f"{name} {version}")
        if not _is_within(version, wanted):
            wrong.append(f"{name} {version} is not {wanted}")
    if missing or wrong:
        return fail("; ".join([*(f"{name} is missing" for name in missing), *wrong]), _INSTALL)
    return ok(", ".join(found))


def _wanted_packages() -> list[tuple[str, str]]:
    """Name and version specifier of what the engine extra names."""
    try:
        requirements = importlib.metadata.requires("pipelet-server") or []
    except importlib.metadata.PackageNotFoundError:  # run from its source, without having been installed
        requirements = [f'{name}; extra == "engine"' for name in ("diffusers", "safetensors", "torch", "transformers")]
    of_engine = [text.partition(";")[0] for text in requirements if re.search(r"extra == ['\"]engine['\"]", text)]
    matches = [re.match(r"([A-Za-z0-9._-]+)\s*(.*)", text.strip()) for text in of_engine]
    return [(match[1], match[2]) for match in matches if match]


def _is_within(version: str, wanted: str) -> bool:
    """`wanted` as `>=1.2,<2` and `==1.2.3`: all that our own requirements use."""
    have = _numbers(version)
    for sign, bound in re.findall(r"(==|>=|<)\s*([0-9.]+)", wanted):
        limit = _numbers(bound)
        if not {"==": have == limit, ">=": have >= limit, "<": have < limit}[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"[0-9.]+", version)
    return tuple(int(number) for number in leading[0].split(".") if number) if leading else ()


def png() -> Finding:
    if importlib.util.find_spec("fpng") is not None:
        return ok("fpng writes them fast")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return ok("Pillow writes them; fpng, which is faster, is for Linux on x86-64 only")
    return warn("fpng is missing: Pillow writes them, more slowly", "pip install fpng")


def model_is_there(model: Model) -> Finding:
    if model.painter != Model(name="", source="").painter:
        return ok(f"{model.name}, drawn by {model.painter}")
    try:
        folder = wiring.find_model(model)
    except ImportError:
        return warn(f"{model.name}: whether it is there cannot be said without the engine", _INSTALL)
    if folder is None:
        return _model_of_hub(model)
    return _files(model.name, folder, fail, "Copy or download the model again.")


def _model_of_hub(model: Model) -> Finding:
    from huggingface_hub import try_to_load_from_cache  # comes with the engine

    from pipelet.engine import hub  # likewise

    repository, revision = hub.split(model.source)
    pinned = f" --revision {revision}" if revision else ""
    download = f"It is downloaded at the first start; to do so now: hf download {repository}{pinned}"
    index = try_to_load_from_cache(repository, "model_index.json", revision=revision)
    if not isinstance(index, str):
        return warn(f"{model.source} is a hub id and not in this machine's cache", download)
    return _files(model.source, str(Path(index).parent), warn, download)


def _files(name: str, folder: str, lacking: Callable[[str, str], Finding], cure: str) -> Finding:
    """Of its files. Whether it generates is known when a worker has loaded it and generated once."""
    from pipelet.engine import checkpoint  # comes with the engine

    absent = checkpoint.absent_parts(folder)
    if absent:
        return lacking(f"{name} in {folder} lacks {', '.join(absent)}", cure)
    return ok(f"{name} in {folder}: its files are there; a worker verifies at its start that it draws")


_TRY_IMPORT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
torch = sys.modules.get("torch")
cuda = torch.cuda.device_count() if torch else None
print(json.dumps({"torch": torch and torch.__version__, "cuda": cuda}))
"""


def engine_works(model: Model, chosen: Settings) -> Finding:
    """Import what draws, in a process of its own: it may be slow, crash or hang."""
    module = model.painter.partition(":")[0]
    try:
        trial = subprocess.run(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-P", "-c", _TRY_IMPORT, module],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            env=environment_without_secrets() | {"PYTHONPATH": module_path()},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return fail(
            f"importing {module} did not end within {_IMPORT_SECONDS:g} s", "Is the disk slow, or the driver stuck?"
        )
    if trial.returncode != 0:
        last = (trial.stderr.strip().splitlines() or [f"it ended with exit code {trial.returncode}"])[-1]
        is_ours = module.startswith("pipelet.")
        return fail(
            f"{module} cannot be imported: {last}", _INSTALL if is_ours else "See the model's `painter` in the catalog."
        )
    return _devices(chosen, **json.loads(trial.stdout.splitlines()[-1]))


def _devices(chosen: Settings, *, torch: str | None, cuda: int | None) -> Finding:
    if torch is None:
        return ok("what draws can be imported; it is not torch")
    gpus = count_gpus()
    detail = f"torch {torch}; GPUs seen by the driver: {gpus}, by torch: {cuda}"
    if gpus and not cuda:
        return warn(detail, "This torch draws on the CPU. Install the build for your driver: see pytorch.org.")
    if chosen.device.startswith("cuda") and not cuda:
        return fail(
            f"{detail}; the device is set to {chosen.device}", "Set PIPELET_DEVICE to auto, or mend the driver."
        )
    return ok(detail)
