"""Rows that a newer version of Pipelet wrote, as this version reads them."""

import json
from dataclasses import asdict
from typing import Any

from pipelet.domain.generation.image import InputImage, OutputFormat
from pipelet.domain.jobs.outcome import FailureKind
from pipelet.store import rows
from tests.support.jobs import make_job, success


def row(spec: dict[str, Any], **columns: Any) -> dict[str, Any]:
    """Return the row of a finished job whose spec has the given fields, too."""
    known = rows.job_columns(make_job(input_images=(InputImage(key="inputs/a.png", width=8, height=8),)))
    return {
        **dict.fromkeys(
            (
                "cancelled_by",
                "requested_priority",
                "retried_as",
                "started_at",
                "finished_at",
                "inference_seconds",
                "images",
                "finished_images",
                "failure_kind",
                "worker",
            )
        ),
        **known,
        "seq": 1,
        "turn": 0,
        "state": "failed",
        "attempt": 1,
        "tasks_done": 0,
        "tasks_total": 9,
        "kept": False,
        "spec": json.dumps(json.loads(known["spec"]) | spec),
        **columns,
    }


def test_fields_of_a_newer_version_are_named() -> None:
    """Unknown fields, fields of input images and formats make a spec that this version's workers must not generate; all
    known fields are read."""
    input_images = [{"key": "inputs/a.png", "width": 8, "height": 8, "mask": "inputs/b.png"}]

    assert () == rows.job_from(row({})).spec.unknown_fields
    assert ("hue", "saturation") == rows.job_from(row({"saturation": 2, "hue": 1})).spec.unknown_fields
    assert ("mask",) == rows.job_from(row({"input_images": input_images})).spec.unknown_fields
    strange = rows.job_from(row({"output_format": "avif"})).spec
    assert (("output_format",), make_job().spec.prompt) == (strange.unknown_fields, strange.prompt)
    assert OutputFormat.WEBP is rows.job_from(row({"output_format": "webp"})).spec.output_format


def test_an_optional_field_is_written_only_if_it_is_set() -> None:
    """An earlier version reads all other requests, and returns those with it to the queue."""
    plain, better = make_job(), make_job(output_quality=40)

    assert "output_quality" not in json.loads(rows.job_columns(plain)["spec"])
    assert 40 == json.loads(rows.job_columns(better)["spec"])["output_quality"]
    assert 40 == rows.job_from(row({"output_quality": 40})).spec.output_quality


def test_ends_of_a_newer_version_are_read() -> None:
    """A failure of an unknown kind keeps its message; unknown fields of a file are skipped."""
    failed = rows.job_from(row({}, failure_kind="too_dull", failure_message="Too dull.")).failure
    [image] = success("outputs/a.png").images
    finished = rows.job_from(row({}, images=json.dumps([asdict(image) | {"hash": "x"}]))).images

    assert failed is not None
    assert (FailureKind.INTERNAL, "Too dull.") == (failed.kind, failed.message)
    assert (image,) == finished
