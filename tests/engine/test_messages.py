from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec, InputImage, OutputFormat
from pipelet.domain.ports.engine import EffectiveParameters
from pipelet.engine.backend import GenerationReport
from pipelet.engine.messages import (
    Cancel,
    Generate,
    Generated,
    GenerateFailed,
    Load,
    LoadFailed,
    Message,
    Ready,
    TasksDone,
    decode,
    encode,
)

any_text = st.text(st.characters(codec=None, exclude_categories=()))


@given(prompt=any_text, negative=st.none() | any_text, seed=st.integers(0, 2**53 - 1), guidance=st.floats(0, 20))
def test_a_micro_batch_arrives_as_it_was_sent_and_is_one_line(prompt, negative, seed, guidance) -> None:
    """Whatever a prompt holds, the message is one line and reads back equal."""
    spec = ImageSpec(
        prompt=prompt,
        negative_prompt=negative,
        width=64,
        height=64,
        batch_size=4,
        seed=seed,
        num_inference_steps=8,
        guidance_scale=guidance,
        output_format=OutputFormat.WEBP,
        input_images=(InputImage(key="inputs/b.png", width=64, height=64),) * 2,
        strength=0.6,
    )
    message = Generate(number=3, spec=spec, first=1, count=2, slot=0, input_images=((64, 96, 3), (64, 64, 3)))

    line = encode(message)

    assert line.index(b"\n") == len(line) - 1
    assert message == decode(line)


def test_every_other_message_arrives_as_it_was_sent() -> None:
    """Load keeps its model's tuples, and the small messages their fields."""
    model = ModelConfig(name="demo", source="package:demo", special_tokens=("<think>",), max_prompt_tokens=1504)
    used = EffectiveParameters(prompt="ä", negative_prompt=None, sampler="Euler")
    sent: list[Message] = [
        Load(model=model, source="/models/x y", device="cpu"),
        Cancel(number=4),
        Ready(device="cpu", seconds=0.5),
        LoadFailed(message="No\nweights"),
        TasksDone(number=4, done=2),
        Generated(number=4, seconds=1.5, report=GenerationReport()),
        Generated(number=5, seconds=1.5, report=GenerationReport(used=used)),
        Generated(number=4, seconds=1.5, report=GenerationReport(has_nsfw_concepts=(True, False), notes=("cut",))),
        GenerateFailed(number=4, kind="refused", message="Zu groß"),
    ]

    assert sent == [decode(encode(message)) for message in sent]
