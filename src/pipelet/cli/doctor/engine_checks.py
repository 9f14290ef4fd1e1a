"""Checks of the engine: its packages, its model, and whether it can be imported."""

import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from pipelet.cli.doctor import Finding, fail, ok, warn, worst_of
from pipelet.domain.catalog import ModelConfig
from pipelet.engine.sources import resolve
from pipelet.settings import Settings
from pipelet.system.processes import environment_without_secrets, module_path
from pipelet.wiring.supervisor import count_gpus

_IMPORT_TIMEOUT = 60.0
_INSTALL = "Install the engine: pip install 'pipelet-server[engine]'."


def packages() -> Finding:
    """Compare the installed versions with those that the engine needs; whether they work is the engine's check."""
    found, missing, wrong = [], [], []
    for requirement in _engine_requirements():
        name = requirement.name
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        found.append(f"{name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{name} {version} is not {requirement.specifier}")
    if missing or wrong:
        return fail("; ".join([*(f"{name} is missing" for name in missing), *wrong]), _INSTALL)
    return ok(", ".join(found))


def _engine_requirements() -> list[Requirement]:
    """Return the requirements of the engine extra."""
    try:
        lines = importlib.metadata.requires("pipelet-server") or []
    except importlib.metadata.PackageNotFoundError:  # running from source, not installed
        return list(map(Requirement, ("diffusers", "safetensors", "torch", "transformers")))
    extras = [(each, each.marker) for each in map(Requirement, lines) if each.marker]
    return [each for each, of in extras if of.evaluate({"extra": "engine"}) and not of.evaluate({"extra": ""})]


def png() -> Finding:
    if importlib.util.find_spec("fpng") is not None:
        return ok("fpng encodes PNG files")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return ok("Pillow encodes PNG files; fpng, which is faster, supports Linux on x86-64 only")
    return warn("fpng is missing; Pillow encodes PNG files, which is slower", "pip install fpng")


def models_are_there(models: Sequence[ModelConfig]) -> Finding:
    return worst_of([model_is_there(model) for model in models])


def model_is_there(model: ModelConfig) -> Finding:
    if model.backend != ModelConfig(name="", source="").backend:
        return ok(f"{model.name}, with the backend {model.backend}")
    try:
        from pipelet.engine.diffusers.loading.verify_checkpoint import check
    except ImportError:
        return warn(f"{model.name}: its files cannot be checked without the engine", _INSTALL)
    folder = check(resolve(model.source), variant=model.variant, allow_pickle=model.allow_pickle)
    if folder is None:
        return _hub_model(model)
    return _check_files(model.name, folder, fail, "Copy or download the model again.")


def _hub_model(model: ModelConfig) -> Finding:
    from huggingface_hub import try_to_load_from_cache  # comes with the engine

    from pipelet.engine.diffusers.loading import hub

    repository, revision = hub.split(model.source)
    pinned = f" --revision {revision}" if revision else ""
    download = f"The first start downloads it; to download it now: hf download {repository}{pinned}"
    index = try_to_load_from_cache(repository, "model_index.json", revision=revision)
    if not isinstance(index, str):
        return warn(f"{model.source} is a hub id, and not in the cache of this machine", download)
    return _check_files(model.source, str(Path(index).parent), warn, download)


def _check_files(name: str, folder: str, report: Callable[[str, str], Finding], fix: str) -> Finding:
    """Check that all components are there. Whether the model generates is known once a worker has loaded it."""
    from pipelet.engine.diffusers.loading import verify_checkpoint

    absent = verify_checkpoint.missing_components(folder)
    if absent:
        return report(f"{name} in {folder} lacks {', '.join(absent)}", fix)
    return ok(f"{name} in {folder}: the files are complete; a worker verifies at its start that the model generates")


_TRY_IMPORT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
torch = sys.modules.get("torch")
cuda = torch.cuda.device_count() if torch else None
print(json.dumps({"torch": torch and torch.__version__, "cuda": cuda}))
"""


def engines_work(models: Sequence[ModelConfig], chosen: Settings) -> Finding:
    """Import the backends, each in a separate process: the import may be slow, crash or hang."""
    modules = dict.fromkeys(model.backend.partition(":")[0] for model in models)
    return worst_of([_engine_works(module, chosen) for module in modules])


def _engine_works(module: str, chosen: Settings) -> Finding:
    try:
        trial = subprocess.run(  # noqa: S603 - our own interpreter and script
            [sys.executable, "-P", "-c", _TRY_IMPORT, module],
            capture_output=True,
            text=True,
            timeout=_IMPORT_TIMEOUT,
            env=environment_without_secrets() | {"PYTHONPATH": module_path()},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return fail(
            f"importing {module} did not finish within {_IMPORT_TIMEOUT:g} s",
            "Check for a slow disk or a driver that hangs.",
        )
    if trial.returncode != 0:
        last = (trial.stderr.strip().splitlines() or [f"it exited with code {trial.returncode}"])[-1]
        is_pipelet = module.startswith("pipelet.")
        return fail(
            f"importing {module} failed: {last}",
            _INSTALL if is_pipelet else "See the model's `backend` in the catalog.",
        )
    return _devices(chosen, **json.loads(trial.stdout.splitlines()[-1]))


def _devices(chosen: Settings, *, torch: str | None, cuda: int | None) -> Finding:
    if torch is None:
        return ok("the backend can be imported; it does not use torch")
    gpus = count_gpus()
    detail = f"torch {torch}; GPUs found by the driver: {gpus}, by torch: {cuda}"
    if gpus and not cuda:
        return warn(detail, "This torch runs on the CPU. Install the build for your driver: see pytorch.org.")
    if chosen.device.startswith("cuda") and not cuda:
        return fail(
            f"{detail}; the device is set to {chosen.device}", "Set PIPELET_DEVICE to auto, or repair the driver."
        )
    return ok(detail)
