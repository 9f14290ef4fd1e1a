"""Rows that a newer version of Pipelet wrote, as this one reads them."""

import json
from dataclasses import asdict
from typing import Any

from pipelet.domain.image import OutputFormat, Reference
from pipelet.domain.outcome import FailureKind
from pipelet.store import rows
from tests.jobs import make_job, success


def row(spec: dict[str, Any], **columns: Any) -> dict[str, Any]:
    """Of a finished job, whose spec has those fields, too."""
    known = rows.job_columns(make_job(references=(Reference(key="inputs/a.png", width=8, height=8),)))
    return {
        **dict.fromkeys(
            (
                "asked_priority",
                "started_at",
                "finished_at",
                "inference_seconds",
                "images",
                "finished_images",
                "failure_kind",
            )
        ),
        **known,
        "seq": 1,
        "state": "failed",
        "attempt": 1,
        "tasks_done": 0,
        "tasks_total": 9,
        "spec": json.dumps(json.loads(known["spec"]) | spec),
        **columns,
    }


def test_what_a_newer_version_asks_for_is_named() -> None:
    """Fields, fields of references and formats that are unknown here make a spec that nobody here may draw; all that is
    known of it is read."""
    references = [{"key": "inputs/a.png", "width": 8, "height": 8, "mask": "inputs/b.png"}]

    assert () == rows.job_from(row({})).spec.unread
    assert ("hue", "saturation") == rows.job_from(row({"saturation": 2, "hue": 1})).spec.unread
    assert ("mask",) == rows.job_from(row({"references": references})).spec.unread
    strange = rows.job_from(row({"output_format": "avif"})).spec
    assert (("output_format",), make_job().spec.prompt) == (strange.unread, strange.prompt)
    assert OutputFormat.WEBP is rows.job_from(row({"output_format": "webp"})).spec.output_format


def test_how_a_newer_version_ends_a_job_can_be_told() -> None:
    """A failure of an unknown kind keeps its words; what is unknown of a file is passed by."""
    failed = rows.job_from(row({}, failure_kind="too_dull", failure_message="Too dull.")).failure
    [image] = success("outputs/a.png").images
    drawn = rows.job_from(row({}, images=json.dumps([asdict(image) | {"hash": "x"}]))).images

    assert failed is not None
    assert (FailureKind.INTERNAL, "Too dull.") == (failed.kind, failed.message)
    assert (image,) == drawn
