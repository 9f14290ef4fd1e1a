"""Shapes of apps in `/api/v1`."""

from typing import Any

from pydantic import Field

from pipelet.api.v1.schemas import Output


class AppItem(Output):
    """An app that takes requests."""

    name: str
    title: str
    task: str
    model: str
    about: str = Field(description="What a person who writes prompts must know of the model; may be empty.")
    vocabulary: list[str] = Field(description="All that the model can generate, if that is little; else empty.")
    input_schema: dict[str, Any] = Field(
        description="JSON Schema. Each property has `order`, and `advanced`: true for what a form may hide at first."
    )
    example: dict[str, Any] = Field(description="An input that the app takes.")
    limits: dict[str, int | float] = Field(description="What the app accepts, and what this key may ask for.")
    paused: bool
    served: bool = Field(description="Whether a live worker starts its requests.")
    waiting: int = Field(description="Queued requests.")
    running: int
    seconds: float | None = Field(description="Predicted from submit to result for the defaults; null if unknown.")


class AppList(Output):
    items: list[AppItem]
    next: None
