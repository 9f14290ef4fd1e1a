"""How often the pictures show what was asked for: the figures, and sheets to look at.

Half of the prompts show things that training never saw. Everything is drawn by the pipeline itself.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from training.edit.art import HELD_OUT, SEEN, Gallery, Look
from training.edit.captions import sentence
from training.edit.judge import Verdict, judge
from training.edit.scenes import FRAME, KINDS, SIDE, Picture, Placed, Reference, Scene, Scenes
from training.stages import chance

Draw = Callable[[Sequence[Picture], str, int], Picture]
"""References, caption and seed to a picture."""

COUNTS = {
    "one": 40,
    "background": 12,
    "move": 12,
    "recolour": 18,
    "remove": 18,
    "pair": 40,
    "above": 20,
    "before": 15,
    "three": 65,
    "room": 15,
    "words": 20,
    "unmentioned": 25,
}
"""How many of 300 prompts are of each kind. "unmentioned" is "one" or "pair" with a reference more."""

GOALS = {
    "one": 0.95,
    "two": 0.9,
    "two held out": 0.8,
    "three": 0.8,
    "three held out": 0.75,
    "swap": 0.85,
    "instructions": 0.85,
    "backgrounds": 0.99,
    "likeness": 0.97,
}
"""The least that the model should reach, of all prompts unless it says "held out"."""

INSTRUCTIONS = ("background", "move", "recolour", "remove")

SENTENCE = "The girl from {0} image is playing chess with the girl from {1} image, on the ancient table from {2} image."
"""The example of docs/use/image-edit.md."""


@dataclass(frozen=True)
class Task:
    """One prompt.

    Attributes:
        order: For each of the scene's references, its position among those given, from 0.
        references: As they are given.
    """

    kind: str
    scene: Scene
    order: tuple[int, ...]
    references: tuple[Picture, ...]
    caption: str
    gallery: Gallery
    held_out: bool


def tasks(count: int) -> Iterator[Task]:
    """Yield about `count` prompts of all kinds, always the same ones; every second one shows things held out."""
    for kind, share in COUNTS.items():
        for number in range(max(2, round(share * count / sum(COUNTS.values())))):
            yield task(kind, number, held_out=number % 2 == 1)


def task(kind: str, number: int, *, held_out: bool) -> Task:
    """The prompt of that number, of a key of `COUNTS`."""
    draw = chance("evaluation", kind, number)
    # What a name alone stands for can only be drawn if it was seen.
    gallery = HELD_OUT if held_out and kind != "words" else SEEN
    scenes = Scenes(gallery)
    drawn = draw.choice(("one", "pair")) if kind == "unmentioned" else kind
    scene = scenes.draw(drawn, draw)
    while scene.removed.startswith("named") and gallery is HELD_OUT:  # its name was never heard
        scene = scenes.draw(drawn, draw)
    given = KINDS[drawn] + (kind == "unmentioned")
    order = tuple(draw.sample(range(given), KINDS[drawn]))
    references = [scenes.reference(draw).render() for _ in range(given)]
    for reference, place in zip(scene.references, order, strict=True):
        references[place] = reference.render()
    return Task(kind, scene, order, tuple(references), sentence(scene, order, given, draw), gallery, held_out)


def swapped(task: Task) -> Task:
    """Return the task with the same references, and a caption that exchanges the first two."""
    order = (task.order[1], task.order[0], *task.order[2:])
    first, second, *rest = task.scene.references
    references = (second, first, *rest)
    scene = replace(task.scene, references=references, shown=references)
    caption = sentence(scene, order, len(task.references), chance("swap", task.caption))
    return replace(task, scene=scene, order=order, caption=caption)


@dataclass(frozen=True)
class Result:
    task: Task
    picture: Picture
    verdict: Verdict


def run(draw: Draw, todo: Sequence[Task]) -> list[Result]:
    results = []
    for number, task in enumerate(todo):
        picture = draw(task.references, task.caption, number)
        results.append(Result(task, picture, judge(picture, task.scene, task.gallery, seed=number)))
    return results


def evaluate(draw: Draw, count: int, sheet: Path | None = None) -> dict[str, float]:
    """All figures, as shares, and the mean likeness of what was copied.

    Args:
        count: About how many prompts.
        sheet: Where to save some of the pictures.
    """
    results = run(draw, list(tasks(count)))
    pairs = [result for result in results if result.task.kind == "pair"]
    swaps = run(draw, [swapped(result.task) for result in pairs])
    if sheet:
        contact_sheet(results, sheet)
    return _figures(results) | {
        "swap": _share([_places(one) and _places(other) for one, other in zip(pairs, swaps, strict=True)])
    }


def _figures(results: Sequence[Result]) -> dict[str, float]:
    figures: dict[str, float] = {}
    groups = {
        "one": ("one",),
        "two": ("pair", "above"),
        "three": ("three",),
        "instructions": INSTRUCTIONS,
        **{kind: (kind,) for kind in (*INSTRUCTIONS, "before", "room", "words", "unmentioned")},
    }
    for name, kinds in groups.items():
        chosen = [result for result in results if result.task.kind in kinds]
        right = _places if name in ("one", "two", "three") else _right
        figures[name] = _share([right(result) for result in chosen])
        figures[f"{name} held out"] = _share([right(result) for result in chosen if result.task.held_out])
    figures["backgrounds"] = _share([result.verdict.background for result in results])
    copied = [result for result in results if result.task.kind not in ("words", "remove", "recolour")]
    figures["likeness"] = _share([value for result in copied for value in result.verdict.likeness])
    figures["likeness held out"] = _share(
        [value for result in copied if result.task.held_out for value in result.verdict.likeness]
    )
    figures["among"] = _share([all(result.verdict.among) for result in results])
    return figures


def _places(result: Result) -> bool:
    return all(result.verdict.places)


def _right(result: Result) -> bool:
    return result.verdict.right


def _share(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 3) if len(values) else float("nan")


def summary(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in figures.items() if "held" not in name)


def table(figures: dict[str, float]) -> str:
    """A line for each figure, with its goal and whether it was missed."""
    lines = []
    for name, value in figures.items():
        goal = GOALS.get(name)
        note = "" if goal is None else f"  goal {goal:.2f}{'' if value >= goal else '  MISSED'}"
        lines.append(f"{name:<32} {value:.3f}{note}")
    return "\n".join(lines)


def write(figures: dict[str, float], path: Path) -> None:
    path.write_text(json.dumps(figures, indent=1) + "\n")


def contact_sheet(results: Sequence[Result], path: Path, each: int = 6) -> None:
    """Rows of one kind: the picture, right of it the references, and below them what was wanted."""
    by_kind = {kind: [result for result in results if result.task.kind == kind][:each] for kind in COUNTS}
    wide, high = SIDE + 3 * FRAME + 8, SIDE + 40
    sheet = Image.new("RGB", (wide * each, high * len(by_kind)), (60, 60, 60))
    draw = ImageDraw.Draw(sheet)
    for row, found in enumerate(by_kind.values()):
        for column, result in enumerate(found):
            left, top = column * wide, row * high
            sheet.paste(Image.fromarray(result.picture), (left, top))
            for number, reference in enumerate(result.task.references):
                sheet.paste(Image.fromarray(reference), (left + SIDE + number * FRAME, top))
            wanted = Image.fromarray(result.task.scene.render()).resize((FRAME, FRAME))
            sheet.paste(wanted, (left + SIDE, top + FRAME))
            words, verdict = result.task.caption, result.verdict
            draw.text((left + 2, top + SIDE + 2), words[:95], fill="white")
            draw.text((left + 2, top + SIDE + 14), words[95:190], fill="white")
            judged = f"right {verdict.right}  places {verdict.places}  clean {verdict.clean}"
            draw.text((left + 2, top + SIDE + 26), judged, fill="yellow")
    sheet.save(path)


def sentence_sheet(draw: Draw, path: Path, rows: int = 4) -> None:
    """`SENTENCE` with things held out: as it stands, and with the first two exchanged."""
    pictures = []
    for row in range(rows):
        names = chance("sentence", row).sample(HELD_OUT.arts, 3)
        references = [Reference((Placed(Look("art", name), 112, 8, 8),), (250, 250, 250)).render() for name in names]
        given = np.full((SIDE, 3 * FRAME, 3), 60, np.uint8)
        given[:FRAME] = np.concatenate(references, 1)
        ways = [SENTENCE.format(*order) for order in (("first", "second", "third"), ("second", "first", "third"))]
        pictures.append(np.concatenate([given, *(draw(references, words, row) for words in ways)], 1))
    Image.fromarray(np.concatenate(pictures)).save(path)
