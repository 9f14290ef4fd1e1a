import filecmp
from pathlib import Path

from pipelet.engine.make_box import make
from pipelet.engine.sources import resolve


def files(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_the_box_is_what_its_maker_makes(tmp_path):
    """Anybody can make the shipped weights and tokenizer again, byte for byte; another seed makes others."""
    box = Path(resolve("package:box"))
    make(tmp_path / "same")
    make(tmp_path / "other", seed=1)

    assert files(box) == files(tmp_path / "same")
    for name in [*(file for file in files(box) if file.endswith(".safetensors")), "tokenizer/tokenizer.json"]:
        assert filecmp.cmp(box / name, tmp_path / "same" / name, shallow=False), name
        if name.endswith(".safetensors"):
            assert not filecmp.cmp(box / name, tmp_path / "other" / name, shallow=False), name


def test_the_box_is_small_and_readable_by_all():
    """It travels in every wheel, and the service may run as another user than the one who installed it."""
    box = Path(resolve("package:box"))

    sizes = [file.stat().st_size for file in box.rglob("*") if file.is_file()]
    assert sum(sizes) < 2_000_000
    assert {0o644} == {file.stat().st_mode & 0o777 for file in box.rglob("*") if file.is_file()}
