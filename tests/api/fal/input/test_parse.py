"""Whatever is sent, reading it ends in a request within the limits or in a refusal."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelet.api.body import parse_object
from pipelet.api.errors import Problem, echo
from pipelet.api.input.parse import parse_input
from pipelet.api.input.schema import InputModel, input_model
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import EDIT
from pipelet.domain.generation.image import InputImage, OutputFormat
from pipelet.services.requests.submit import NewRequest
from tests.api.service import CATALOG
from tests.support.jobs import APP

APP_ENTRY = CATALOG.apps[APP]
MODEL = input_model(APP_ENTRY, CATALOG.model_of(APP_ENTRY))
EDITING = input_model(
    replace(APP_ENTRY, task=EDIT), replace(CATALOG.model_of(APP_ENTRY), max_input_images=3, strength=0.5)
)
KEY = ApiKey(id="k", name="test", user="ada", hash=b"", created_at=0.0)
FIELDS = sorted(EDITING.model_fields)
IMAGE = InputImage(key="inputs/a.png", width=4096, height=64)

any_text = st.text(st.characters(codec=None, exclude_categories=[]), max_size=20)
numbers = st.integers() | st.integers(-10, 5000) | st.integers(-(10**400), 10**400) | st.floats()
numerals = st.from_regex(r"[+-]?[0-9]{1,5}(\.[0-9]{1,3})?", fullmatch=True) | st.from_regex(r"\d+", fullmatch=True)
scalars = st.none() | st.booleans() | numbers | numerals | any_text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3))
bodies = st.dictionaries(st.sampled_from(FIELDS) | any_text, values, max_size=8)
sensible = st.fixed_dictionaries(
    {"prompt": st.text(min_size=1) | any_text},
    optional={name: st.integers(0, 200) | numerals | values for name in FIELDS if name != "prompt"}
    | {"image_url": st.sampled_from(["data:,x", "https://example.com/a.png"])},
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([MODEL, EDITING]),
    bodies | sensible,
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(1, 99),
)
def test_any_object(model: InputModel, fields: dict[str, Any], ceiling: int | None, largest_batch: int | None) -> None:
    """Any JSON object is a request within the limits, or faults that can be sent back as JSON."""
    key = replace(KEY, max_priority=ceiling, max_queued_images=largest_batch)
    try:
        parsed = parse_input(fields, model, key)
    except Problem as problem:
        assert problem.status == 422
        assert isinstance(problem.detail, list)
        assert problem.detail
        assert "\n" not in str(problem)
        sent = json.dumps({"detail": problem.detail, "message": str(problem)}, allow_nan=False, ensure_ascii=False)
        assert len(sent.encode()) < 10_000
        return

    assert (model is EDITING) == bool(parsed.image_urls)
    new = NewRequest(app=APP_ENTRY, key=key, input=parsed, base_url="")
    spec = new.spec((IMAGE,) * len(parsed.image_urls))
    assert spec.strength is None if model is MODEL else 0 < (spec.strength or 0) <= 1
    assert all(type(side) is int and 64 <= side <= 4096 for side in (spec.width, spec.height))
    assert type(spec.batch_size) is int
    assert 1 <= spec.batch_size <= min(16, largest_batch or 16)
    assert type(spec.seed) is int
    assert 0 <= spec.seed < 2**53
    assert 1 <= spec.num_inference_steps <= 100
    assert type(spec.guidance_scale) is float
    assert 0 <= spec.guidance_scale <= 20
    assert isinstance(spec.output_format, OutputFormat)
    assert -(2**31) <= new.effective_priority() <= (2**31 - 1 if ceiling is None else ceiling)
    for text in (spec.prompt, spec.negative_prompt or ""):
        assert isinstance(text.encode(), bytes)
        assert len(text) <= 4000
        assert "\0" not in text
    assert spec.prompt.strip()


@settings(max_examples=300, deadline=None)
@given(
    st.binary()
    | any_text.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | values.map(json.dumps).map(str.encode)
)
def test_any_bytes(body: bytes) -> None:
    """Any bytes are an object or a refusal in one line."""
    try:
        fields = parse_object(body)
    except Problem as problem:
        assert problem.status in (400, 422)
        assert str(problem).isprintable()
        return

    assert isinstance(fields, dict)


@given(values)
def test_echo(value: Any) -> None:
    """What is sent back of an input is short, and JSON for every reader."""
    assert len(json.dumps(echo(value), allow_nan=False, ensure_ascii=False).encode()) < 1000


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("width", "64", 64),
        ("width", "+04096", 4096),
        ("seed", "-0", 0),
        ("seed", str(2**53 - 1), 2**53 - 1),
        ("priority", "-2147483648", -(2**31)),
        ("guidance_scale", "+04.50", 4.5),
        ("guidance_scale", "20", 20.0),
    ],
)
def test_numbers_as_text(field: str, text: str, value: float) -> None:
    """A number may be sent as text of ASCII digits, with a sign and leading zeros."""
    parsed = parse_input({"prompt": "a", field: text}, MODEL, KEY)

    assert value == {**parsed.values, "priority": parsed.priority}[field]
