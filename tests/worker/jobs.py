"""Jobs for a worker to run, and what their files must hold."""

import time

import numpy as np
from PIL import Image

from pipelet.domain.jobs.job import Job, JobState
from tests.support.backends.gradient import gradient_image
from tests.support.jobs import make_job
from tests.worker.conftest import WorkerHarness


def job_now(**changes: object) -> Job:
    return make_job(submitted_at=time.time(), **changes)  # type: ignore[arg-type]


def assert_right_images(harness: WorkerHarness, job: Job) -> None:
    assert JobState.SUCCEEDED == job.state
    assert job.spec.batch_size == len(job.images)
    for number, image in enumerate(job.images):
        with Image.open(harness.files / image.key) as file:
            assert np.array_equal(gradient_image(job.spec, job.spec.seed + number), np.asarray(file))
        assert job.spec.seed + number == image.seed
        assert image.file_size == (harness.files / image.key).stat().st_size
