"""Small values with rules."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain import catalog, ids
from pipelet.domain.accounts import api_keys
from pipelet.domain.errors import OperationalError
from pipelet.domain.generation.image import file_key
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Interrupted, Outcome, Released, Succeeded, verdict
from pipelet.domain.jobs.progress import tasks_per_job
from pipelet.wiring.catalog_parser import parse
from tests.support.jobs import make_job, make_key

LOST = Failure(FailureKind.WORKER_LOST, "The worker was lost.")


@given(st.integers(1, 16), st.floats(0.004, 17), st.floats(0.1, 200))
def test_parts_hold_the_batch_and_fit(batch: int, megapixels: float, at_once: float) -> None:
    """Parts add up to the batch, are as even as can be, and hold no more than fits, or one image."""
    plan = plan_generation(make_job(batch_size=batch).spec, catalog.ModelConfig(name="m", source=""))

    parts = replace(plan, memory_megapixels=megapixels).batch_sizes(at_once)

    assert batch == sum(parts)
    assert max(parts) - min(parts) <= 1
    assert max(parts) == 1 or max(parts) * megapixels <= at_once


def test_a_job_is_made_again_as_it_was_asked_for() -> None:
    """Images, seed, user, key and the user's own priority are the same; nothing of the first one's fate is left."""
    asked = make_job(priority=3, seed=77, user="eve", key=make_key(max_queued_images=1))
    ended = replace(
        asked, seq=9, state=JobState.FAILED, attempt=3, started_at=1.0, finished_at=2.0, failure=LOST, priority=8
    )

    again = replace(ended, requested_priority=3).clone_for_retry("new", 1_000_005.0)

    assert replace(asked, id="new", submitted_at=1_000_005.0) == again


def test_eight_steps_are_twelve_tasks() -> None:
    """The seed's example: 12 tasks for 8 steps; a batch in parts counts each part."""
    spec, model = make_job(num_inference_steps=8).spec, catalog.ModelConfig(name="m", source="")

    assert [12, 48] == [tasks_per_job(plan_generation(spec, model), 1), tasks_per_job(plan_generation(spec, model), 4)]


@pytest.mark.parametrize(
    ("outcome", "attempt", "ends"),
    [
        (Succeeded((), 1.0), 1, Succeeded),
        (Failed(LOST), 1, Failed),
        (Interrupted(LOST), 1, type(None)),
        (Interrupted(LOST), 2, type(None)),
        (Interrupted(LOST), 3, Failed),
        (Released("stopping"), 99, type(None)),
    ],
)
def test_verdicts(outcome: Outcome, attempt: int, ends: type) -> None:
    """A verdict is final; an interruption is one only when the attempts are used up; handing back never is."""
    assert ends is type(verdict(outcome, attempt))


def test_ids_and_names_look_as_documented() -> None:
    """Request ids and file keys have the shapes of the API document."""
    request_id = ids.new_request_id()

    assert ids.is_request_id(request_id)
    assert not ids.is_request_id(request_id.upper() + "A")
    assert "outputs/z_image_text_to_image_api/2DPBix_z_image_text_to_image__00008_.png" == file_key(
        "z-image-text-to-image", "2DPBix", 8, "png"
    )


def test_keys_are_recognisable_and_expire() -> None:
    """A key is told from other text at a glance; revoked and expired ones say why they are refused."""
    secret = api_keys.new_secret()
    key = api_keys.ApiKey(
        id="k", name="n", user="u", hash=api_keys.hash_secret(secret), created_at=0.0, expires_at=10.0
    )

    assert api_keys.is_well_formed(secret)
    assert not api_keys.is_well_formed(secret[:-1])
    assert key.invalid_reason(9.9) is None
    assert "expired" in (key.invalid_reason(10.0) or "")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("[models", "not valid TOML"),
        ('[models.m]\nsource = "x"\nstepz = 3', "unknown fields: stepz"),
        ("[models.m]", "models.m lacks source"),
        ('[apps.a]\ntask = "text-to-image"\nmodel = "nope"', "'nope', which has no entry"),
        ('[apps.a]\ntask = "banana"', "task must be"),
        (
            '[models.m]\nsource = "x"\nnum_inference_steps = "8"',
            r"num_inference_steps must be a valid integer \(it is '8'\)",
        ),
        ('[models.m]\nsource = "x"\nsize_multiple = 0', "size_multiple must be at least 1"),
        ('[models.m]\nsource = "x"\nnative_sizes = ["384 x 256"]', "'384 x 256' is not a size such as 384x256"),
        ('[models.m]\nsource = "x"\nnative_sizes = ["250x256"]', "250x256 is no multiple of size_multiple, 16"),
        ('[models.m]\nsource = "x"\nnative_sizes = [256]', r"native_sizes must be a valid string \(it is 256\)"),
        ('[models.m]\nsource = "x"\nnative_pixels = [1024]', "the smallest and the largest area"),
        ('[models.m]\nsource = "x"\nnative_pixels = [1024, 2048]', "at least four times the first"),
        ('[models.m]\nsource = "x"\nnative_pixels = [1024.0, 9e9]', "native_pixels must be a valid integer"),
        ('[models.m]\nsource = "x"\nnative_pixels = [1, 4]\nnative_sizes = ["64x64"]', "not both"),
        ('[models.m]\nsource = "x"\nnative_sizes = ["64x64"]\nrefine_strength = 1', "at least 0 and below 1"),
        ('[models.m]\nsource = "x"\nrefine_strength = 0.3', "needs native_sizes or native_pixels"),
        ('[models.m]\nsource = "x"\nmax_input_images = -1', "max_input_images must not be negative"),
        ('[models.m]\nsource = "x"\nmax_input_images = 1\nstrength = 1.5', "strength must be at least 0 and at most 1"),
        ('[models.m]\nsource = "x"\nedit_pipeline = "ZImageImg2ImgPipeline"', "need max_input_images"),
        ('[models.m]\nsource = "x"\nrequires_input_image = true', "needs max_input_images"),
        (
            '[models.m]\nsource = "x"\nmax_input_images = 1\nedit_pipeline = "A"\nrequires_input_image = true',
            "leave requires_input_image out",
        ),
        (
            '[models.m]\nsource = "x"\nmax_input_images = 1\nrequires_input_image = true\n'
            '[apps.a]\ntask = "text-to-image"\nmodel = "m"',
            "apps.a names the model 'm', which only edits images",
        ),
        ('[models.m]\nsource = "x"\n[apps.a]\ntask = "image-edit"\nmodel = "m"', "takes no input images"),
        ('[models.m]\nsource = "x"\nprompt_overflow = "shorten"', "prompt_overflow must be error or truncate"),
        ('[apps.a]\ntask = "text-to-image"\n[apps.a.limits]\nmax_side = 512', "default_side <= max_side"),
        ("[app.a]", "a table \\[app\\]"),
        ('[fal_ids."run/a"]\napp = "a"', "must not be run: run, queue, proxy, rest, cdn are paths of this service"),
        ('[fal_ids."fal-ai"]\napp = "a"', "an id must be an owner and a name"),
        ('[fal_ids."fal-ai/a/requests/b"]\napp = "a"', "an id must be an owner and a name"),
        ('[fal_ids."fal-ai/a"]\napp = "a"', "names the app 'a', which does not exist"),
        (
            '[apps.a]\ntask = "text-to-image"\n[fal_ids."fal-ai/a"]\napp = "a"\nmodels = ["m"]',
            "names the model 'm', which has no entry",
        ),
        ('[apps]\na = "x"', "apps.a in the catalog must be a table"),
        ('[apps.a]\ntask = "t"\n[apps.a.limits]\nmax_sid = 3', "apps.a.limits has unknown fields: max_sid"),
    ],
)
def test_a_bad_catalog_says_where(document: str, complaint: str) -> None:
    """A mistake in a catalog is named with its entry."""
    with pytest.raises(OperationalError, match=complaint):
        parse(document)


def test_later_catalogs_lay_over_earlier_ones() -> None:
    """An operator's entry replaces only the fields it names."""
    ours = '[models.m]\nsource = "x"\nnum_inference_steps = 8\n[apps.a]\ntask = "text-to-image"\nmodel = "m"'

    merged = parse(ours, "[models.m]\nnum_inference_steps = 4")

    assert ("x", 4) == (merged.models["m"].source, merged.models["m"].num_inference_steps)
    assert ("a",) == merged.served_apps()


def test_an_id_is_served_by_the_models_that_it_stands_for() -> None:
    """It follows the chosen model, also one that is like it; without models it is served by any."""
    catalog = parse(
        """
        [models.fast]
        source = "x"
        [models.copy]
        like = "fast"
        source = "y"
        [models.slow]
        source = "z"
        [apps.a]
        task = "text-to-image"
        model = "fast"
        [fal_ids."fal-ai/a/fast"]
        app = "a"
        models = ["fast"]
        [fal_ids."fal-ai/a/any"]
        app = "a"
        """
    )
    served = {
        model: [each.name for each in catalog.with_model(model).served_fal_ids()] for model in ("fast", "copy", "slow")
    }

    both = ["fal-ai/a/fast", "fal-ai/a/any"]
    assert {"fast": both, "copy": both, "slow": ["fal-ai/a/any"]} == served
