"""Shapes of responses, for OpenAPI. The handlers build the responses by hand."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from pipelet.domain.ids import REQUEST_ID_PATTERN

_QUEUE_POSITION = (
    "Number of requests that would start before this one if no more were submitted. It can grow: users who have had "
    "less of the service go first."
)

RequestId = Annotated[str, Field(pattern=REQUEST_ID_PATTERN, examples=["rn5r12q9pdu6yvb3nxty"])]


class Metrics(BaseModel):
    inference_time: float | None = Field(None, description="Seconds of generation; once completed.")


class LogEntry(BaseModel):
    message: str
    level: Literal["STDERR", "STDOUT", "ERROR", "INFO", "WARN", "DEBUG"]
    source: Literal["USER"]
    timestamp: str = Field(description="ISO 8601, UTC.")


class Submitted(BaseModel):
    request_id: RequestId
    gateway_request_id: RequestId
    response_url: str
    status_url: str
    cancel_url: str
    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] = Field(
        description="`IN_QUEUE`, unless an earlier submit had the same `Idempotency-Key`."
    )
    queue_position: int = Field(ge=0, description=_QUEUE_POSITION)
    logs: None
    metrics: Metrics


class StatusMessages(BaseModel):
    message: str = Field(examples=["Progress: 10/12 Tasks done"])
    estimatedTotalTimeSeconds: Annotated[int, Field(ge=1)] | None = Field(  # noqa: N815 - the wire's spelling
        description="From submit to result, estimated. Null while the app is paused or no worker serves it."
    )


class Status(BaseModel):
    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    queue_position: int = Field(ge=0, description=_QUEUE_POSITION)
    statusMessages: StatusMessages  # noqa: N815 - the wire's spelling
    request_id: RequestId
    response_url: str
    status_url: str
    cancel_url: str
    logs: list[LogEntry] | None = Field(description="Null without `logs=1`.")
    metrics: Metrics
    error: str | None = Field(None, description="Set if the request failed or was cancelled.")
    error_type: str | None = None


class CancelAccepted(BaseModel):
    status: Literal["CANCELLATION_REQUESTED"]


class FirstImage(BaseModel):
    data_uri: str = Field(description="A signed URL that works without a key, for a limited time.")
    file_name: str


class Image(BaseModel):
    url: str
    file_name: str
    content_type: str
    file_size: int
    width: int
    height: int
    seed: int


class Timings(BaseModel):
    inference: float | None


class Result(BaseModel):
    image: FirstImage
    results: list[str]
    images: list[Image]
    seed: int
    prompt: str
    has_nsfw_concepts: list[bool] = Field(
        description="Whether the safety checker of the model blacked out each image; false without a checker."
    )
    timings: Timings


class Fault(BaseModel):
    loc: list[str | int]
    msg: str
    type: str
    input: Any = None
    ctx: dict[str, Any] | None = Field(None, description="Figures of the error, if it has any.")


class Refusal(BaseModel):
    """Every error body. `message` is `detail` in one line."""

    detail: str | list[Fault]
    message: str
    status: str | None = None
    error_type: str | None = None
    images: list[Image] | None = Field(
        None, description="Images that a running request finished before it was cancelled."
    )
