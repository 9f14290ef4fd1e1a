"""A trained pipeline as the folder that ships."""

import json
import shutil
from collections.abc import Collection
from pathlib import Path

from diffusers import DiffusionPipeline

_UNTIDY = {"_name_or_path", "is_local", "local_files_only"}
"""Fields that say where the parts came from."""


def package(pipe: DiffusionPipeline, out: Path, *, card: str, left_out: Collection[str] = ()) -> None:
    """Write a pipeline to a folder, with its card and its licences.

    Args:
        left_out: Further fields of the parts' configurations that are not written.
    """
    pipe.tokenizer.backend_tokenizer.no_truncation()
    pipe.tokenizer.backend_tokenizer.no_padding()
    pipe.save_pretrained(out)
    for config in out.rglob("*config.json"):
        _tidy(config, _UNTIDY.union(left_out))
    (out / "README.md").write_text(card, "utf-8")
    shutil.copy(Path(__file__).parent / "art" / "NOTICE", out / "NOTICE")
    for path in out.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes files that only their owner can read


def _tidy(config: Path, left_out: Collection[str]) -> None:
    fields = json.loads(config.read_text("utf-8"))
    kept = {name: value for name, value in fields.items() if name not in left_out}
    config.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", "utf-8")
