"""Sheets of images to look at: 64 with their captions, and 16 without, for a person who has to name what they show.

    python -m benchmarks.quality.contact_sheet --folder sheets

writes labelled.webp, blind.webp and, for afterwards, blind.txt with the captions of the second.
"""

from collections.abc import Sequence
from pathlib import Path

import cyclopts
from PIL import Image, ImageDraw, ImageFont

from benchmarks.lib.demo_images import DEMO, SIDE, drawn
from benchmarks.quality.fidelity import prompts_of
from training.judge import Picture

_GAP = 12
_TEXT = 17
"""Size of the captions, in pixels."""
_LINES = 3
"""A caption gets so many; the longest lose their end."""
_LABELLED, _BLIND = 64, 16


def main(*, folder: Path = Path("contact-sheets"), seed: int = 7, model: str = DEMO, direct: bool = False) -> None:
    """
    Parameters
    ----------
    folder
        Where the sheets are written.
    seed
        Chooses the prompts.
    model
        A folder with a checkpoint, or `demo` for the demo model.
    direct
        Call diffusers on one CPU thread, without the service.
    """
    captions = [one.caption for one in prompts_of(_LABELLED + _BLIND, seed)]
    pictures = list(drawn(captions, model=model, direct=direct))
    folder.mkdir(parents=True, exist_ok=True)
    sheet(pictures[:_LABELLED], captions[:_LABELLED], columns=8).save(folder / "labelled.webp", quality=90)
    sheet(pictures[_LABELLED:], columns=4).save(folder / "blind.webp", quality=90)
    named = "".join(f"{number}. {caption}\n" for number, caption in enumerate(captions[_LABELLED:], 1))
    (folder / "blind.txt").write_text(named)
    for name in ("labelled.webp", "blind.webp", "blind.txt"):
        print(folder / name)


def sheet(pictures: Sequence[Picture], captions: Sequence[str] = (), *, columns: int) -> Image.Image:
    """Rows of images, read as a text is, each over its caption or, without captions, over its number."""
    labels = captions or [f"{number}" for number in range(1, len(pictures) + 1)]
    font = ImageFont.load_default(_TEXT)
    across, down = SIDE + _GAP, SIDE + _GAP + (_LINES if captions else 1) * (_TEXT + 4)
    rows = -(-len(pictures) // columns)
    paper = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), "white")
    pen = ImageDraw.Draw(paper)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = _GAP + number % columns * across, _GAP + number // columns * down
        paper.paste(Image.fromarray(picture), (left, top))
        pen.rectangle((left - 1, top - 1, left + SIDE, top + SIDE), outline="silver")  # a white one has an edge, too
        pen.multiline_text((left, top + SIDE + 4), "\n".join(_lines(label, font)[:_LINES]), "black", font, spacing=2)
    return paper


def _lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= SIDE:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


if __name__ == "__main__":
    cyclopts.run(main)
