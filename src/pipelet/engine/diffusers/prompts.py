"""What a model can take as a prompt, found out before it is asked to."""

import inspect
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import InvalidInput
from pipelet.domain.generation.image import ImageSpec

_BUCKETS = (64, 128, 256, 512, 1024)
_PAD = 32
"""Z-Image pads a caption to a multiple of it, and gives the image the position behind. With input images in between,
each takes four more: two marks, and two positions of its own."""

_UNLIMITED = 10**6
"""transformers gives a tokenizer without a limit a number beyond it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptProcessor:
    """The tokenizer of a pipeline and its limits."""

    tokenizer: Any
    max_tokens: int | None
    """Tokens."""
    is_passed: bool
    """Whether the pipeline is told `max_tokens`; else it is what the pipeline reads when told nothing."""
    truncates: bool
    """Whether what is longer is cut, not refused."""
    is_z_image: bool
    enable_thinking: bool
    """Whether the pipeline's template leaves room for a thought before the answer."""

    @classmethod
    def from_pipeline(cls, pipe: Any, model: ModelConfig) -> "PromptProcessor":
        is_z_image = type(pipe).__name__.startswith("ZImage")
        limits = [model.max_prompt_tokens] if model.max_prompt_tokens is not None else []
        if is_z_image:
            images = 4 * model.max_input_images + 8 if type(pipe).__name__ == "ZImageOmniPipeline" else 0
            limits.append(pipe.transformer.config.axes_lens[0] - _PAD - images)
        tokenizer = _longest_reader(pipe)
        return cls(
            tokenizer=tokenizer,
            max_tokens=min(limits or _limits_of(pipe, tokenizer), default=None),
            is_passed=bool(limits),
            truncates=model.prompt_overflow == "truncate",
            is_z_image=is_z_image,
            enable_thinking=not type(pipe).__name__.startswith("Flux2Klein"),
        )

    def prepare(self, spec: ImageSpec, notes: list[str]) -> ImageSpec:
        """`spec` with prompts that the model can read; a negative prompt that it will not read is left out.

        `notes` gets what was cut.

        Raises:
            InvalidInput: a prompt is too long, is no valid text, or holds a mark that the model reads as markup.
        """
        negative = spec.negative_prompt if spec.guidance_scale > 0 else None
        return replace(
            spec,
            prompt=self._prepare("prompt", spec.prompt, notes),
            negative_prompt=None if negative is None else self._prepare("negative prompt", negative, notes),
        )

    def arguments(self, spec: ImageSpec) -> dict[str, Any]:
        """What the pipeline is told about the length of prompts that are fitted."""
        if self.tokenizer is None or self.max_tokens is None or not self.is_passed:
            return {}
        max_tokens = max(self._length(text) for text in (spec.prompt, spec.negative_prompt) if text is not None)
        if self.is_z_image:
            # Its default would cut what is longer than 512, without a word. Padding never reaches the transformer,
            # so the next bucket is enough and gives the same image; no other pipeline promises that.
            return {"max_sequence_length": min([b for b in (*_BUCKETS, self.max_tokens) if b >= max_tokens])}
        return {"max_sequence_length": self.max_tokens}

    def _prepare(self, name: str, text: str, notes: list[str]) -> str:
        _reject_broken(text)
        self._reject_special_tokens(text)
        if self.tokenizer is None or self.max_tokens is None:
            return text
        length = self._length(text)
        if length <= self.max_tokens:
            return text
        if self.truncates:
            # What is found was itself measured: now and then a shorter text has a token more.
            fitting = bisect_right(range(len(text)), self.max_tokens, key=lambda end: self._length(_words(text, end)))
            if fitting:
                cut = _words(text, fitting - 1)
                notes.append(
                    f"The {name} of {len(text)} characters was cut to {len(cut)}: it has {length} tokens, and the "
                    f"model takes {self.max_tokens}."
                )
                return cut
        raise InvalidInput(
            f"The prompt has {length} tokens, and the model takes at most {self.max_tokens}. Shorten it."
        )

    def _reject_special_tokens(self, text: str) -> None:
        added: dict[str, int] = self.tokenizer.get_added_vocab() if self.tokenizer is not None else {}
        # Those of the template: the tokenizer's, or one that the pipeline has written into it.
        marks = added if self._has_template or "<|im_start|>" in added else {}
        if not marks:
            return
        found = set(self.tokenizer(text, add_special_tokens=False).input_ids) & set(marks.values())
        if found:
            names = ", ".join(sorted(mark for mark, number in marks.items() if number in found))
            raise InvalidInput(f"The prompt holds {names}, which the model would read as markup, not as text.")

    def _length(self, text: str) -> int:
        if self._has_template:
            # As `ZImagePipeline` does it.
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": text}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=self.enable_thinking,
            )
        return len(self.tokenizer(text).input_ids)

    @property
    def _has_template(self) -> bool:
        return bool(getattr(self.tokenizer, "chat_template", None))


def _longest_reader(pipe: Any) -> Any:
    """The tokenizer that takes the longest prompts, where several text encoders read them: the others add a summary."""
    found = [getattr(pipe, name, None) for name in ("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")]
    return max((each for each in found if each is not None), key=lambda each: each.model_max_length, default=None)


def _limits_of(pipe: Any, tokenizer: Any) -> list[int]:
    """Where a pipeline that is told nothing would cut a prompt."""
    by_default = inspect.signature(type(pipe).__call__).parameters.get("max_sequence_length")
    limits = [getattr(tokenizer, "model_max_length", None), by_default.default if by_default is not None else None]
    return [limit for limit in limits if isinstance(limit, int) and limit < _UNLIMITED]


def _words(text: str, end: int) -> str:
    """The first `end` characters, without the half of a word that they may end in; Chinese is cut anywhere."""
    begun = text[:end]
    return begun if text[end].isspace() else re.sub(r"\s\S{1,20}$", "", begun)


def _reject_broken(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"The prompt is broken at character {error.start + 1}: half of a surrogate pair.") from error
