"""The language of the project: plain technical English (CONTRIBUTING.md), and no name that was replaced."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.test_docs import ROOT

SOURCE = ROOT / "src" / "pipelet"
CLIENTS = ROOT / "tests" / "clients"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted(SOURCE.rglob("*.md"))]
TEXTS = {".md", ".py", ".toml", ".sql", ".yaml", ".service", ".sh", ".mjs", ".js", ".json", ".txt", ""}
FOLDERS = ("src", "docs", "deploy", "examples", "tests", "benchmarks", "training")

# Rule 1 and rule 4 of CONTRIBUTING. Words of several parts may be split over lines, also of a comment.
WORDS = [
    *("whoever", "somebody", "nobody", "anybody", "anew", "mend", "mends", "mended", "mending", "meanwhile", "dear"),
    *("beside", "of which", "lie", "lies", "for ever", "so long", "goes on", "go on", "went on", "puts up with"),
]
# Words for what is now generated, an image, an input image and a backend.
REPLACED_WORDS = [
    *("draw", "draws", "drawn", "drew", "drawing", "drawings", "redrawn", "picture", "pictures"),
    *("painter", "painters", "crew", "housekeeping", "namesake", "namesakes"),
]


_BETWEEN_WORDS = r"[\s#>*-]+"


def any_of(words: list[str]) -> re.Pattern[str]:
    return re.compile(r"\b(" + "|".join(word.replace(" ", _BETWEEN_WORDS) for word in words) + r")\b", re.IGNORECASE)


# Names that were replaced, by the part of the project that had them; ~ is a space. Ordinary words are left out.
REPLACED = {
    "settings": """
        PIPELET_GRACE_SECONDS PIPELET_STALL_SECONDS PIPELET_LOAD_SECONDS PIPELET_URL_SECONDS PIPELET_WEBHOOK_SECONDS
        PIPELET_OPEN_STREAMS PIPELET_DATABASE_CONNECTIONS PIPELET_THREADS PIPELET_URL PIPELET_KEY PIPELET_APP
        stall_seconds url_seconds PIPELET_S3_ADDRESSING s3_addressing database_connections --clear-within --patience
    """,
    "catalog": """
        max_references needs_references long_prompts megapixels_per_run package:box engine/box
        take_references model~in~the~box
    """,
    "metrics": """
        pipelet_pickup_seconds pipelet_inference_seconds pipelet_total_seconds pipelet_submits_refused
        pipelet_submits_refused_total pipelet_webhook_tries pipelet_webhook_tries_total given_up
        pipelet_webhooks_undelivered GIVEN_UP
    """,
    "log events": """
        attempt.handed_back attempt.lost_its_lease bell.deaf clock.not_synced database.away deadline.passed
        engine.deaf engine.last_words engine.printed engine.unusable files.unusable fleet.place_is_taken
        fleet.stands_still fleet.worker_comes fleet.worker_in_trouble fleet.worker_leaves fleet.worker_lost
        learning.skipped loop.turn_crashed loop.turn_failed notification.lost notifications.away progress.delayed
        request.abandoned request.repeated request.needs_newer_worker request.unservable retention.deleted
        retention.forgot retention.kept seat.unusable storing.delayed streams.blind webhook.given_up
        webhook.taken_over webhook.unrecorded webhooks.delayed worker.left_a_request worker.lost_its_name
        worker.not_cleared_up worker.not_signed_off worker.waits_for_its_name
    """,
    "errors": """
        NotAllowed KeyMissing KeyMalformed KeyRefused LimitReached QueueTooLong AddressRefused ReferencesGone
        TooEarly StoreUnusable StoreAway StoreNewer BlobsUnusable ModelUnusable EngineStalled DrawRefused DrawFailed
        DrawOutOfMemory DrawCancelled ReferenceLost PictureRefused ServiceAway KeyNotAccepted UnknownRequest
        InputRefused TooLate
    """,
    "domain": """
        DrawnPart steps_taken Painter painter handed_over looked_at megapixels_held draw_steps strength_of on_task
        again_in last_words work_of unlearned PRIOR_RECORD done_share KEPT_SECONDS CACHED_SECONDS NewLease
        passed_over LogLine CancelAnswer is_forgotten asked_priority start_by is_single_attempt keeps_input
        keep_seconds expected_seconds looks_like_key HandedBack Undelivered WorkerReport ReportAnswer GO_ON
        scaled_into shrunk_to _unlikeness MOST_TRIES _moved_on
    """,
    "store": """
        note_references release_references ahead_of_many ahead_of_room ahead_of_job ahead_of_jobs
        is_held_back end_overdue work_arrived unclaimed_files forget_files drawn_since report_worker forget_worker
        limit_key hand_back change_keys _begin_patiently WORKER_MEMORY answer_seconds refuse_pooling_by_transaction
        keep_in_time _durable_at_last postgres_operating sqlite_operating postgres_work sqlite_work to_take
        ROOM_WITHIN heads_of_queues key_is_full over_limit ask_cancel cancels_of_worker forget_name
        forget_dead_workers forget_file take_idempotency_key note_reference count_references get_learned put_learned
        list_learned lock_learned hand_back_webhook end_webhook_try write_webhook_try undelivered_webhooks
        job_reference webhook_try job_arrives job_leaves job_moves job_tells_webhook let_references_go
        single_attempt keep_input try_columns _ears _hear _OUR_FAULT _SHORT_TRIP _MAX_SNAPSHOTS _give_up DiskBlobs
        S3Blobs _try_out _BY_WORDS delete_old
    """,
    "worker and engine": """
        Tally Crew crew_devices take_name OWN_NAMES TURN_SECONDS take_back_expired _patient_until images_at_once
        _HEAD_START _heed _LOOK_AROUND _LEAST_BETWEEN_LOOKS _CANCELS_SECONDS _told_to_stop _passed_over
        _lost_its_name _leave_to_newer _about_itself _sign_off _refuse_another_model outcome_of load_references
        DiffusersModel _how_it_ended arguments_of PicturesOnly quick_dtype BFLOAT16_ALONE _uninterrupted make_room
        give_back in_words _pass_on handed_back DaemonThreads Editor.of PromptProcessor.of before_picture lived_long
    """,
    "fleet and webhooks": """
        _tell_of_trouble _MOMENT clear_within Seat Seats _knock_at why_alone AT_ONCE AT_ONCE_OF_ONE AT_ONCE_TO_ONE
        _LOOK_SECONDS _something_happens new_pair _begin_due
    """,
    "API, client and command line": """
        parts_of Doorkeeper Sight why_it_waits refuse_one_more most_held Narrator _admit_again _until_hung_up
        _break_off end_streams read_picture Outlook _of_eight_bits _UNTAKEN_SECONDS read_object _make_room
        _BY_ITSELF tell_end read_options of_request of_read of_submit _served_app _new_job _bound_to NotFinished
        _carry_out in_store is_shared _lay_over _give_back outlook_of until_begun until_room until_shorter
        is_repeated _let_go _refuse_long_queue read_whole whole_pattern on_bug find_any _too_late blobs_trouble
        _look_at_store webhook_tried MayCall may_call may_reach guarded_client _NOT_FOR_US _ask_the_system
        _patiently _take_free_name request_of _see_through open_crew_elsewhere secret_in _misspelt
        networks_beside_public as_environment CrossOrigin LocalFiles
    """,
    "modules": """
        every.py unless.py persist.py tally.py cancels.py crew.py housekeeping.py painter.py bell.py
        notifications.py together.py shares.py recent.py endings.py sight.py watcher.py held.py problems.py
        cross_origin.py numerals.py seats.py sizing.py moves.py
    """,
    "tests": """
        SetClock disturb inspect_books Workshop workshop test_bad_days test_namesakes assert_right_pictures
        exits_while_drawing hangs_while_drawing killed_while_drawing raises_while_drawing PAINTER sd_painter
    """,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_keep_to_plain_words(page: Path) -> None:
    """No page uses a word that the rules exclude or that was replaced, but in quotes of code and addresses of links."""
    code = r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)"
    prose = re.sub(code, "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)

    assert [] == [word for words in words_for(page) for word in any_of(words).findall(prose)]


def test_the_source_keeps_to_plain_words() -> None:
    """No docstring, comment or message uses such a word."""
    files = [path for path in SOURCE.rglob("*") if path.suffix in {".py", ".sql", ".toml"}]

    assert files
    assert [] == [found for path in files for found in found_in(path, prose_of)]


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "examples", "training"])
def test_other_code_keeps_to_plain_words(folder: str) -> None:
    """No docstring or comment uses such a word, but in the tests of fal's clients, which stay as they are."""
    files = [path for path in (ROOT / folder).rglob("*.py") if path != Path(__file__) and CLIENTS not in path.parents]

    assert files
    assert [] == [found for path in files for found in found_in(path, documentation_of)]


@pytest.mark.parametrize("folder", ["src", "benchmarks", "training", "tests/support"])
def test_a_docstring_stands_alone(folder: str) -> None:
    """No docstring starts with a fragment that needs its context, such as "Of one app." or "Until now."."""
    fragment = r"(Of|Ago|Also|Likewise|The same|Until)\b"
    in_quotes = re.compile(rf"[\"']\s*{fragment}")  # few files have any: only those are parsed
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.partition(chr(10))[0]}"
        for path in (ROOT / folder).rglob("*.py")
        if in_quotes.search(path.read_text("utf-8"))
        for line, text in docstrings_of(path)
        if re.match(fragment, text)
    ]

    assert [] == found


@pytest.mark.parametrize("part", REPLACED)
def test_replaced_names_are_gone(part: str) -> None:
    """No file but the changelog and the decisions, which tell the past, has a name that was replaced."""
    names = [name.replace("~", " ") for name in REPLACED[part].split()]
    maybe = [name for name in names if name in every_name() or not re.fullmatch(r"[\w-]+", name)]
    found = [f"{path}: {name}" for path, text in texts().items() for name in maybe if has_name(text, name)]

    assert [] == found


def has_name(text: str, name: str) -> bool:
    """Whether the name is in the text by itself, not as a part of another name."""
    # `in` nearly always says no, and takes a tenth of the time of an expression.
    return name in text and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def has_word(text: str, word: str) -> bool:
    """Whether the word, or several words over the ends of lines, are in a text of small letters."""
    parts = word.split()
    return all(part in text for part in parts) and re.search(rf"\b{_BETWEEN_WORDS.join(parts)}\b", text) is not None


def words_for(path: Path) -> tuple[list[str], ...]:
    """Return the words that a file must not use. The past may be told in its words, and training draws pictures."""
    past = (ROOT / "docs/decisions", ROOT / "training", ROOT / "CHANGELOG.md")
    return (WORDS,) if any(each in (path, *path.parents) for each in past) else (WORDS, REPLACED_WORDS)


def found_in(path: Path, said: Callable[[Path], str]) -> Iterator[str]:
    """Yield the words that a file must not use and that are in what it says to people. Few files have any of them, and
    only those are read token by token."""
    text = path.read_text("utf-8").lower()
    for words in words_for(path):
        if any(has_word(text, word) for word in words):
            yield from (
                f"{path.relative_to(ROOT)}: {' '.join(word.split())}" for word in any_of(words).findall(said(path))
            )


def prose_of(path: Path) -> str:
    """Return what a file says to people: of Python its strings and comments, else all of it."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return text
    spoken = [tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(token.string for token in tokens if token.type in spoken)


def documentation_of(path: Path) -> str:
    """Return the comments and the docstrings of a Python file, without what they quote of code."""
    text = path.read_text("utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return re.sub(r"`[^`\n]*`", "", "\n".join([*comments, *(docstring for _, docstring in docstrings_of(path))]))


def docstrings_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring, also of attributes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for each in node.body:
                match each:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        yield each.lineno, text.strip()


@cache
def texts() -> dict[str, str]:
    """Return path and text of each file that people write, but those that tell the past, and this one.

    The path is part of the text: a file can have a name that was replaced, too.
    """
    past = {ROOT / "CHANGELOG.md", Path(__file__)}
    files = [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    return {
        (name := str(path.relative_to(ROOT))): f"{name}\n{path.read_text('utf-8')}"
        for path in files
        if path.is_file() and path.suffix in TEXTS and path not in past and ROOT / "docs/decisions" not in path.parents
    }


@cache
def every_name() -> set[str]:
    """Return all that is in those files and could be a name, without spaces or dots."""
    return {name for text in texts().values() for name in re.findall(r"[\w-]+", text)}
