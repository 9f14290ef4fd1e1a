"""The child process: loads a painter by name, draws what it is told to, and dies with its parent.

Started by `process`; not for people.
"""

import argparse
import importlib
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from pipelet.domain.errors import ModelUnusable
from pipelet.engine import messages
from pipelet.engine.messages import Cancel, Draw, Drawn, Failed, Load, LoadFailed, Ready, TaskDone
from pipelet.engine.painter import Implementation, Painter, Report
from pipelet.engine.pixels import readable, writable

_LONGEST_MESSAGE = 2000


class Parent:
    """The other end of the socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._inbox: queue.SimpleQueue[Load | Draw] = queue.SimpleQueue()
        self._cancelled = 0

    def listen(self) -> None:
        """Read in a thread of its own, so that a Cancel and the parent's death are heard while drawing."""
        lines = self._control.makefile("rb")
        threading.Thread(target=self._read, args=(lines,), name="parent", daemon=True).start()

    def next(self) -> Load | Draw:
        return self._inbox.get()

    def tell(self, message: messages.FromChild) -> None:
        self._control.sendall(messages.encode(message))

    def has_cancelled(self, number: int) -> bool:
        return self._cancelled >= number

    def _read(self, lines: BinaryIO) -> None:
        try:
            for line in lines:
                match messages.decode(line):
                    case Cancel(number=number):
                        self._cancelled = number
                    case Load() | Draw() as message:
                        self._inbox.put(message)
        finally:
            # The parent closed the socket or is gone; where it had not read all that we said, that is an error here.
            # Nothing is worth an orderly end, and a library that hangs must not keep the device.
            os._exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelet.engine.child", description=__doc__)
    parser.add_argument("--control", type=int, required=True, help="descriptor of the socket to the parent")
    parser.add_argument("--inbox", type=int, required=True, help="descriptor of the file for references")
    parser.add_argument("--slots", required=True, help="descriptors of the files for pixels, comma separated")
    options = parser.parse_args(arguments)
    slots = [int(slot) for slot in options.slots.split(",")]
    for descriptor in (options.control, options.inbox, *slots):
        os.set_inheritable(descriptor, False)
    # A shell sends Ctrl-C to everyone; when to stop is the parent's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = Parent(socket.socket(fileno=options.control))
    parent.listen()
    run(parent, options.inbox, slots)


def run(parent: Parent, inbox: int, slots: Sequence[int]) -> None:
    painter = load(parent, cast(Load, parent.next()))
    while True:
        wanted, mapped = cast(Draw, parent.next()), _Mapped()
        parent.tell(draw(parent, painter, wanted, inbox, slots, mapped))
        mapped.out = None  # after the answer: to unmap 19 MB takes a millisecond, in which the parent can claim


def load(parent: Parent, wanted: Load) -> Painter:
    began = time.perf_counter()
    try:
        painter = _implementation(wanted.model.painter).load(
            model=wanted.model, source=wanted.source, device=wanted.device, threads=wanted.threads
        )
    except ModelUnusable as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        problem = f"{error}. {_cure(error, wanted.model.painter)}"
    except Exception as error:  # noqa: BLE001 - the edge of the process: reported, then it exits
        traceback.print_exc()
        problem = f"The model {wanted.source} cannot be loaded: {_in_words(error)}"
    else:
        notes = getattr(painter, "notes", ())
        parent.tell(Ready(device=painter.device, seconds=time.perf_counter() - began, notes=notes))
        return painter
    parent.tell(LoadFailed(message=problem))
    sys.exit(1)


@dataclass(slots=True)
class _Mapped:
    """Keeps the pixels of a drawing mapped."""

    out: NDArray[np.uint8] | None = None


def draw(
    parent: Parent, painter: Painter, wanted: Draw, inbox: int, slots: Sequence[int], mapped: _Mapped
) -> Drawn | Failed:
    number = wanted.number
    began = time.perf_counter()
    try:
        out = mapped.out = writable(slots[wanted.slot], (wanted.count, wanted.spec.height, wanted.spec.width, 3))
        report = painter.draw(
            spec=wanted.spec,
            first=wanted.first,
            count=wanted.count,
            references=readable(inbox, wanted.references),
            out=out,
            on_task=lambda done: parent.tell(TaskDone(number=number, done=done)),
            is_cancelled=lambda: parent.has_cancelled(number),
        )
    except Exception as error:  # noqa: BLE001 - the edge of the process: reported, and ready for the next
        return _failed(number, error)
    report = report or Report()
    return Drawn(
        number=number,
        seconds=time.perf_counter() - began,
        used=report.used,
        has_nsfw_concepts=report.has_nsfw_concepts,
        notes=report.notes,
    )


def _implementation(name: str) -> Implementation:
    module, _, attribute = name.partition(":")
    return cast(Implementation, getattr(importlib.import_module(module), attribute))


def _failed(number: int, error: Exception) -> Failed:
    for kind, failure in messages.FAILURES.items():
        if isinstance(error, failure):
            return Failed(number=number, kind=kind, message=str(error)[:_LONGEST_MESSAGE])
    traceback.print_exception(error)
    kind = "out_of_memory" if isinstance(error, MemoryError) else "failed"
    return Failed(number=number, kind=kind, message=_in_words(error))


def _cure(error: ModuleNotFoundError, painter: str) -> str:
    if error.name and f"{painter.partition(':')[0]}.".startswith(f"{error.name}."):
        return f"The catalog names the painter {painter}: install its module here, or correct the name."
    return "Install what the engine needs: pip install 'pipelet-server[engine]'."


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE]


if __name__ == "__main__":
    main()
