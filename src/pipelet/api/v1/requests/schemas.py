"""Bodies, queries and responses of the routes under `/api/v1/requests`."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from pipelet.api.v1.schemas import Input, Output, PageQuery, Text, Time
from pipelet.domain.ids import REQUEST_ID_PATTERN
from pipelet.domain.jobs.job import MAX_PRIORITY, MIN_PRIORITY, JobState
from pipelet.domain.jobs.listing import TEXT_WINDOW, JobFilter
from pipelet.domain.jobs.outcome import CancelledBy

MAX_IDS = 1000
_NAME_CHARS = 200

_Name = Annotated[Text, Field(min_length=1, max_length=_NAME_CHARS)]
_Id = Annotated[str, Field(pattern=REQUEST_ID_PATTERN)]


class Criteria(Input):
    """Which requests; all of the caller if none is given."""

    app: _Name | None = None
    state: JobState | None = None
    q: _Name | None = Field(
        None, description=f"A part of the prompt, in any case, among the newest {TEXT_WINDOW:,}; or an id."
    )
    since: Time | None = Field(None, description="Earliest submit.")
    until: Time | None = Field(None, description="Submitted before.")
    error_type: _Name | None = None
    user: _Name | None = Field(None, description="Needs `observe`, unless it is you; `*` is every user.")
    key: _Name | None = Field(None, description="Id of a key. Needs `observe`.")
    worker: _Name | None = Field(None, description="Needs `observe`.")
    priority: int | None = Field(None, ge=MIN_PRIORITY, le=MAX_PRIORITY, description="Needs `observe`.")
    retried: bool | None = Field(None, description="Whether it was retried: a copy was queued in its place.")

    def to_filter(self) -> JobFilter:
        return JobFilter(
            user=self.user,
            key_id=self.key,
            worker=self.worker,
            app=self.app,
            state=self.state,
            error_type=self.error_type,
            priority=self.priority,
            since=self.since,
            until=self.until,
            text=self.q,
            retried=self.retried,
        )


class ListQuery(Criteria, PageQuery):
    pass


class ArchiveQuery(Input):
    ids: str = Field(
        pattern=r"^[0-9a-z]{20}(,[0-9a-z]{20}){0,99}$", description="Up to 100 ids of requests, separated by commas."
    )


class SubmitBody(Input):
    app: _Name
    input: dict[str, Any] = Field(description="As in a submit to the queue of the app.")


class ChangeBody(Input):
    keep: bool = Field(description="Whether retention leaves the request and its files alone.")


class Changed(Output):
    id: str
    kept: bool


class BulkBody(Input):
    """Either `ids`, or `filter` and `expect`."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["ids"], "properties": {"filter": False, "expect": False}},
                {"required": ["filter", "expect"], "properties": {"ids": False}},
            ]
        }
    )

    ids: list[_Id] | None = Field(None, min_length=1, max_length=MAX_IDS)
    filter: Criteria | None = None
    expect: int | None = Field(None, ge=0, le=10**9, description="Number of requests that the filter finds.")


class CancelBody(BulkBody):
    in_progress: bool = Field(False, description="Also stop those that run; each may still succeed before it stops.")


class BulkDone(Output):
    done: int
    skipped: int = Field(description="Requests that the action does not fit, such as running ones.")


class Progress(Output):
    done: int
    total: int


class RequestItem(Output):
    """A request in a list. Fields that hold content are null for keys that may not see it."""

    id: str
    app: str
    user: str
    key_id: str | None
    state: JobState
    priority: int
    position: int | None = Field(description="Requests that start before it; null unless it is queued.")
    progress: Progress | None
    message: str | None = Field(description="The state in one line.")
    width: int
    height: int
    batch_size: int
    seed: int | None
    input: dict[str, Any] | None
    thumbnails: list[str] | None = Field(description="URLs, which need the key.")
    store_input: bool = Field(description="False: prompt and input images are deleted at its end.")
    worker: str | None = Field(description="For keys with `observe`.")
    attempt: int
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    estimated_seconds: int | None = Field(description="From submit to result; exact once it has ended.")
    inference_seconds: float | None
    error: str | None
    error_type: str | None
    cancelled_by: CancelledBy | None = Field(
        description="Who cancelled it. `connection`: its client closed the connection that waited for the images. "
        "`service`: the service closed that connection. Null if it was not cancelled, or if it is not known who did."
    )
    retried_as: str | None = Field(description="Id of the newest request that was queued in its place.")
    expires_at: str | None = Field(description="When it is deleted; null before its end, and if it is kept.")
    kept: bool


class RequestPage(Output):
    items: list[RequestItem]
    next: str | None


class CountByState(Output):
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class RequestCount(Output):
    count: int = Field(description="What a bulk action takes as `expect`.")
    by_state: CountByState


class Image(Output):
    url: str
    file_name: str
    content_type: str
    file_size: int
    width: int
    height: int
    seed: int


class LogEntryBody(Output):
    at: str
    level: str
    message: str


class RequestDetail(RequestItem):
    """A request with all that is known of it. Each read signs its URLs again."""

    images: list[Image] | None
    input_images: list[str] | None = Field(description="URLs.")
    log: list[LogEntryBody] | None


class Prediction(Output):
    seconds: float | None = Field(description="From submit to result; null while the app is paused or has no worker.")
    position: int = Field(description="Requests that would start before it.")
    image_seconds: float = Field(description="Seconds of work for each image.")
