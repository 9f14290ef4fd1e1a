"""How long work takes, learned from work that was done.

The time of a request is modelled as a sum of costs that cannot be negative: one per request, one per denoising step,
and per megapixel generated, denoised, and (attention grows with the square) denoised again. The five costs are fitted
to finished requests by least squares of the *relative* error, older requests counting less and less. Only sums are
kept, so a fit costs the same after ten requests and after ten million.

Before anything was learned, and for directions that were never seen (sizes much larger than any so far), a weak prior
holds the costs near plausible ones, in proportion: the first request that ends already moves all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.generation.plan import GenerationPlan

_DECAY = 0.98
"""Weight of everything known so far, at each new observation: half of it is gone after 34."""
_PRIOR_WEIGHT = 0.02
_OUTLIER = 5.0
_MIN_OBSERVATIONS = 5
_SWEEPS = 60


@dataclass(frozen=True, slots=True)
class Work:
    """Amounts of work of one or of many requests; adding the works of requests adds their predicted times."""

    requests: float = 0.0
    steps: float = 0.0
    megapixels: float = 0.0
    megapixel_steps: float = 0.0
    attention: float = 0.0
    """Megapixels squared times steps, image by image."""

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(self.amounts(), other.amounts(), strict=True)))

    def amounts(self) -> tuple[float, float, float, float, float]:
        return (self.requests, self.steps, self.megapixels, self.megapixel_steps, self.attention)


def spec_work(spec: ImageSpec, steps: int | None = None) -> Work:
    """Return the work of generating `spec` at its own size, in `steps` if given. Guidance runs every step twice."""
    steps = (spec.num_inference_steps if steps is None else steps) * (2 if spec.guidance_scale > 0 else 1)
    each = spec.megapixels
    generated = each * spec.batch_size
    return Work(1.0, float(steps), generated, generated * steps, generated * each * steps)


def generation_work(plan: GenerationPlan) -> Work:
    """Return the work of all passes, each at its size."""
    work = spec_work(plan.native, plan.denoise_steps)
    if plan.spec.input_images:
        work += _input_image_work(plan, work.steps)
    if not plan.refine_steps:
        return work
    second = spec_work(plan.spec, plan.refine_steps)
    return work + Work(0.0, *second.amounts()[1:])


def _input_image_work(plan: GenerationPlan, steps: float) -> Work:
    """Return the work that input images add to the first pass.

    An image that starts as its input image adds encoding it. Otherwise every step reads all of them, and attention
    spans everything that a step reads.
    """
    native = plan.native
    if plan.edit_strength is not None:
        return Work(megapixels=native.megapixels * native.batch_size)
    steps *= native.batch_size
    seen = sum(size.megapixels for size in plan.input_image_sizes)
    attention = (native.megapixels + seen) ** 2 - native.megapixels**2
    return Work(megapixels=seen, megapixel_steps=seen * steps, attention=attention * steps)


PRIOR_GENERATE = (0.05, 0.01, 0.4, 0.2, 0.02)
"""Seconds for each amount of `Work`, of the right order for a small model on two CPU cores."""
PRIOR_STORE = (0.02, 0.0001, 0.05, 0.0001, 0.0001)


@dataclass(frozen=True, slots=True)
class CostModel:
    """Running sums of a least-squares fit: `matrix` is 5x5, row by row; `vector` has 5 entries."""

    count: int = 0
    matrix: tuple[float, ...] = (0.0,) * 25
    vector: tuple[float, ...] = (0.0,) * 5

    def observe(self, work: Work, seconds: float) -> "CostModel":
        if self.count >= _MIN_OBSERVATIONS:
            # A night of waiting for disk space must not spoil the next hundred estimates; a machine that really became
            # so much slower is believed step by step.
            seconds = min(seconds, max(1.0, _OUTLIER * self.fit(PRIOR_GENERATE).predict(work)))
        amounts = work.amounts()
        # By the size of the work, not by the time it took: a slow spell must not count for less than a quick one.
        weight = 1.0 / _NOMINAL.predict(work) ** 2
        products = (a * b * weight for a in amounts for b in amounts)
        matrix = tuple(_DECAY * old + new for old, new in zip(self.matrix, products, strict=True))
        targets = (a * seconds * weight for a in amounts)
        vector = tuple(_DECAY * old + new for old, new in zip(self.vector, targets, strict=True))
        return CostModel(self.count + 1, matrix, vector)

    def fit(self, prior: Sequence[float]) -> "CostCoefficients":
        """The fit: non-negative least squares by coordinate descent, which on five unknowns needs no library."""
        size = len(prior)
        # In units of the prior every cost is of order one, so that one weight can hold all of them.
        matrix = [[self.matrix[i * size + j] * prior[i] * prior[j] for j in range(size)] for i in range(size)]
        vector = [self.vector[i] * prior[i] for i in range(size)]
        # The common scale (how fast is this machine?) is free; only the proportions are held by the prior.
        total = sum(map(sum, matrix))
        scale = sum(vector) / total if total > 0 else 1.0
        for i in range(size):
            matrix[i][i] += _PRIOR_WEIGHT
            vector[i] += _PRIOR_WEIGHT * scale
        costs = [scale] * size
        for _ in range(_SWEEPS):
            for i in range(size):
                rest = sum(matrix[i][j] * costs[j] for j in range(size) if j != i)
                costs[i] = max(0.0, (vector[i] - rest) / matrix[i][i])
        return CostCoefficients(tuple(cost * unit for cost, unit in zip(costs, prior, strict=True)))


@dataclass(frozen=True, slots=True)
class CostCoefficients:
    """Seconds for each amount of `Work`."""

    seconds: tuple[float, ...]

    def predict(self, work: Work) -> float:
        seconds: float = sum(map(mul, self.seconds, work.amounts()))
        return seconds


_NOMINAL = CostCoefficients(PRIOR_GENERATE)


@dataclass(frozen=True, slots=True)
class WorkerCosts:
    """What one kind of worker needs for one app."""

    generate: CostCoefficients
    """While this passes, the device is taken."""
    store: CostCoefficients
    """Writing and storing the files, while the device is already on the next request."""

    def service(self, generation_work: Work, recording: Work) -> float:
        """Seconds of both phases, whose work differs where an image is generated and stored at different sizes."""
        return self.generate.predict(generation_work) + self.store.predict(recording)


def prior_costs() -> WorkerCosts:
    return WorkerCosts(CostModel().fit(PRIOR_GENERATE), CostModel().fit(PRIOR_STORE))


@dataclass(frozen=True, slots=True)
class WorkAhead:
    """What will start before a queued request."""

    requests: int
    work: Work


def remaining_seconds(predicted: float, elapsed: float, fraction_done: float) -> float:
    """Seconds a running request still takes.

    A prediction that was too short must not make "almost done" of a request that is not: what is left is never less
    than what its own progress says, once there is some.
    """
    if fraction_done >= 1:
        return 0.0
    by_progress = elapsed * (1 - fraction_done) / fraction_done if fraction_done > 0 else 0.0
    return max(predicted - elapsed, min(by_progress, predicted), 0.0)
