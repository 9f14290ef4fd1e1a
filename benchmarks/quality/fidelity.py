"""Whether images show what was asked for: hundreds of prompts, generated, and judged by `training.judge`.

Half of the prompts are combinations that training never saw. Each share comes with two others by the same judge: of
real renderings of the prompts, which is the most that can be reached, and of the same images held against each
other's prompts, which is chance.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cyclopts

from benchmarks.lib.demo_images import DEMO, drawn
from benchmarks.lib.table import Line, Ratio, load_now, show
from training.captions import Captioned, Captions
from training.judge import Picture, Verdict, judge
from training.scenes import GRID, render
from training.vocabulary import vocabulary

KINDS = ("plain", "size", "place", "pair")
_BACKGROUND, _PLACE, _OBJECT, _BOTH, _SHARPNESS = 0.99, 0.98, 0.85, 0.4, 0.35
_OF_SEEN = 0.92
"""What is never seen in training is to be generated right almost as often as what is."""
_GUARDED = ("thing, alone", "everything")
"""Questions whose shares `benchmarks.check` guards: few prompts answer them well enough."""
_Z = 1.96
"""Standard errors to each side that hold 95%."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A prompt, and what the judge says of an image of it."""

    asked: Captioned
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Share:
    right: int
    count: int

    @property
    def value(self) -> float:
        return self.right / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of 95%."""
        if not self.count:
            return math.nan, math.nan
        shrunk = 1 + _Z**2 / self.count
        middle = (self.value + _Z**2 / (2 * self.count)) / shrunk
        half = _Z * math.sqrt(self.value * (1 - self.value) / self.count + (_Z / (2 * self.count)) ** 2) / shrunk
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%})"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a verdict, and for which prompts."""

    what: str
    is_right: Callable[[Judged], bool]
    concerns: Callable[[Captioned], bool] = lambda _: True
    goal: float | None = None

    def of(self, judged: Iterable[Judged]) -> Share:
        answers = [self.is_right(one) for one in judged if self.concerns(one.asked)]
        return Share(sum(answers), len(answers))


def main(*, prompts: int = 400, seed: int = 1, model: str = DEMO, direct: bool = False) -> None:
    """
    Parameters
    ----------
    prompts
        Prompts, as many of each kind, half of each never seen in training.
    seed
        Chooses the prompts.
    model
        A folder with a checkpoint, or `demo` for the demo model.
    direct
        Call diffusers on one CPU thread, without the service: for a model that is still being trained.
    """
    before = load_now()
    asked = prompts_of(prompts, seed)
    pictures = list(drawn([one.caption for one in asked], model=model, direct=direct))
    lines = report(
        found=judged(asked, pictures),
        real=judged(asked, (render(one.scene) for one in asked)),
        exchanged=judged([*asked[len(KINDS) :], *asked[: len(KINDS)]], pictures),
    )
    notes = [
        f"{len(asked)} prompts, seed {seed}, half of them combinations never trained on.",
        "In brackets 95% (Wilson). Reference: real renderings, and these images against each other's prompts.",
    ]
    way = "by diffusers alone" if direct else "through the service"
    show(f"Whether pictures of `{model}`, drawn {way}, show what was asked for", lines, load=before, notes=notes)


def prompts_of(count: int, seed: int) -> list[Captioned]:
    seen, unseen = (Captions(vocabulary(), seed, held_out=held_out) for held_out in (False, True))
    return [(unseen if number // len(KINDS) % 2 else seen).draw(KINDS[number % len(KINDS)]) for number in range(count)]


def judged(asked: Sequence[Captioned], pictures: Iterable[Picture]) -> list[Judged]:
    return [Judged(one, judge(picture, one)) for one, picture in zip(asked, pictures, strict=True)]


def report(found: Sequence[Judged], real: Sequence[Judged], exchanged: Sequence[Judged]) -> list[Line]:
    """What was found on the images, next to the most that can be and what chance gives."""
    lines = []
    for question in QUESTIONS:
        share, goal = question.of(found), question.goal
        reference = f"real {question.of(real).value:.1%}, exchanged {question.of(exchanged).value:.1%}"
        aim, met = ("", None) if goal is None else (f"≥ {goal:.0%}", share.value >= goal)
        ratio = Ratio(share.value, higher_is_better=True) if question.what in _GUARDED else None
        lines.append(Line(question.what, str(share), reference, aim, met, ratio))
    return [*lines, _generalisation(found), _sharpness(found, real)]


def _generalisation(found: Sequence[Judged]) -> Line:
    seen, unseen = (
        Share(sum(_first(one) for one in these), len(these))
        for these in (
            [one for one in found if _alone(one.asked) and one.asked.held_out is held] for held in (False, True)
        )
    )
    of_seen = unseen.value / seen.value if seen.right else 0.0
    reference = f"{of_seen:.2f} of those trained on, {seen}"
    return Line(
        "thing, in combinations never trained on", str(unseen), reference, f"≥ {_OF_SEEN} of it", of_seen >= _OF_SEEN
    )


def _sharpness(found: Sequence[Judged], real: Sequence[Judged]) -> Line:
    what, aim = "sharpness, where the things are right", f"≥ {_SHARPNESS}"
    # Noise is full of edges, and another thing has other ones: neither says how well this one is generated.
    ratios = [one.verdict.sharpness for one in found if _first(one)]
    if len(ratios) < 2:
        return Line(what, "nothing is right", "", aim, False)
    mean = statistics.fmean(ratios)
    error = _Z * statistics.stdev(ratios) / math.sqrt(len(ratios))
    reference = f"real {statistics.fmean(one.verdict.sharpness for one in real):.2f}"
    return Line(what, f"{mean:.2f} ({mean - error:.2f} to {mean + error:.2f})", reference, aim, mean >= _SHARPNESS)


def _alone(asked: Captioned) -> bool:
    return asked.kind != "pair"


def _first(one: Judged) -> bool:
    return not any(one.verdict.ranks)


def _right_size(one: Judged) -> bool:
    return abs(one.verdict.sizes[0] - one.asked.scene.things[0].size) <= GRID


QUESTIONS = (
    Question("background", lambda one: one.verdict.background, goal=_BACKGROUND),
    Question("place", lambda one: one.verdict.place, lambda asked: asked.kind == "place", _PLACE),
    Question("small or large", _right_size, lambda asked: asked.kind == "size"),
    Question("thing, alone", _first, _alone, _OBJECT),
    *(Question(f"  of kind {kind}", _first, lambda asked, kind=kind: asked.kind == kind) for kind in KINDS[:3]),
    Question("thing, among the first five", lambda one: max(one.verdict.ranks) < 5, _alone),
    Question("both of a pair", _first, lambda asked: asked.kind == "pair", _BOTH),
    Question("one of a pair, at least", lambda one: 0 in one.verdict.ranks, lambda asked: asked.kind == "pair"),
    Question("everything", lambda one: one.verdict.right),
)


if __name__ == "__main__":
    cyclopts.run(main)
