"""What child processes inherit."""

import os
import sys
from pathlib import Path

import pytest

from pipelet.system.processes import environment_without_secrets, module_path

_SECRETS = {
    "PIPELET_DATABASE_URL": "postgresql://pipelet@db/pipelet",
    "PIPELET_API_KEY": "pk_x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_SESSION_TOKEN": "x",
    "PGPASSWORD": "x",
    "GITHUB_TOKEN": "x",
    "OPENAI_API_KEY": "x",
    "SENTRY_DSN": "x",
    "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
    "REDIS": "redis://user:p/ss@host",
    "HF_TOKEN": "hf_x",
}
_HARMLESS = {
    "CUDA_VISIBLE_DEVICES": "1",
    "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    "TOKENIZERS_PARALLELISM": "false",
    "KEYBOARD": "us",
    "HF_HOME": "/data/hub",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HTTPS_PROXY": "http://user:password@proxy:3128",
    "CC": "gcc",
}


def test_secrets_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, those of AWS and PostgreSQL, and what sounds like one; what drivers and libraries read is passed on."""
    for name, value in (_SECRETS | _HARMLESS).items():
        monkeypatch.setenv(name, value)

    inherited = environment_without_secrets()

    assert set() == _SECRETS.keys() & inherited.keys()
    assert inherited.items() >= _HARMLESS.items()
    assert {"HF_TOKEN"} == environment_without_secrets(hub=True).keys() - inherited.keys()


@pytest.mark.parametrize(("python_path", "stays"), [("", False), (os.pathsep, False), ("{here}", True), (".", True)])
def test_modules_of_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, python_path: str, stays: bool
) -> None:
    """What `python -m` adds is left out; what PYTHONPATH names is passed on, and so is everything else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", python_path.format(here=tmp_path))
    before = [path for path in sys.path if path]
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", *before])

    assert os.pathsep.join([str(tmp_path), *before] if stays else before) == module_path()
