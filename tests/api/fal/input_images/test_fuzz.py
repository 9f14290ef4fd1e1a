"""Damaged image files, in a decoder's own process: a short run of `python -m benchmarks.resilience.fuzz_images`."""

from benchmarks.lib.mutations import corpus
from benchmarks.resilience.fuzz_images import MAX_BYTES, fuzz

from pipelet.services.input_images.decode import decode_image


def test_damaged_files_harm_nothing() -> None:
    """The process lives, its memory is bounded, and no file takes long; the same seed makes the same files."""
    report = fuzz(250, seed=7)

    assert [] == report.lost
    assert 250 == report.files
    assert {"read", "image_load_error"} <= report.outcomes.keys()
    assert report.slowest < 2.0
    assert report.peak_bytes < MAX_BYTES
    assert all(decode_image(data, max_side=4096).png for data in corpus())
