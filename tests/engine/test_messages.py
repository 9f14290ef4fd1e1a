from hypothesis import given
from hypothesis import strategies as st

from pipelet.domain.catalog import Model
from pipelet.domain.engine import Used
from pipelet.domain.image import ImageSpec, OutputFormat, Reference
from pipelet.engine.messages import Cancel, Draw, Drawn, Failed, Load, LoadFailed, Ready, TaskDone, decode, encode

any_text = st.text(st.characters(codec=None, exclude_categories=()))


@given(prompt=any_text, negative=st.none() | any_text, seed=st.integers(0, 2**53 - 1), guidance=st.floats(0, 20))
def test_a_draw_arrives_as_it_was_sent_and_is_one_line(prompt, negative, seed, guidance):
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
        references=(Reference(key="inputs/b.png", width=64, height=64),) * 2,
        strength=0.6,
    )
    message = Draw(number=3, spec=spec, first=1, count=2, slot=0, references=((64, 96, 3), (64, 64, 3)))

    line = encode(message)

    assert line.index(b"\n") == len(line) - 1
    assert message == decode(line)


def test_every_other_message_arrives_as_it_was_sent():
    """Load keeps its model's tuples, and the small messages their fields."""
    model = Model(name="box", source="package:box", reserved_text=("<think>",), max_prompt_tokens=1504)
    sent = [
        Load(model=model, source="/models/x y", device="cpu", threads=None),
        Cancel(number=4),
        Ready(device="cpu", seconds=0.5),
        LoadFailed(message="No\nweights"),
        TaskDone(number=4, done=2),
        Drawn(number=4, seconds=1.5),
        Drawn(number=5, seconds=1.5, used=Used(prompt="ä", negative_prompt=None, sampler="Euler")),
        Drawn(number=4, seconds=1.5, has_nsfw_concepts=(True, False), notes=("cut",)),
        Failed(number=4, kind="refused", message="Zu groß"),
    ]

    assert sent == [decode(encode(message)) for message in sent]
