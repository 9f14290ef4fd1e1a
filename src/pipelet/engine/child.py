"""The child process: loads a backend by name, generates micro-batches, and exits with its parent.

Started by `child_pipes` with the descriptors that it inherits: the socket to the parent, the files for input images and
for previews, and those for pixels.
"""

import importlib
import inspect
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from functools import cache
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from pipelet.domain.errors import ModelLoadError
from pipelet.engine import messages
from pipelet.engine.backend import Backend, GenerationReport
from pipelet.engine.messages import (
    Cancel,
    Generate,
    Generated,
    GenerateFailed,
    Load,
    LoadFailed,
    MakePreviews,
    Ready,
    TasksDone,
)
from pipelet.engine.previews import PreviewWriter
from pipelet.engine.shared_memory import map_inputs, map_output

_MAX_MESSAGE_BYTES = 2000


class Parent:
    """The socket to the parent.

    Args:
        previews: the file for previews.
    """

    def __init__(self, control: socket.socket, previews: int) -> None:
        self._control = control
        self.previews = PreviewWriter(previews, self.send)
        self._inbox: queue.SimpleQueue[Load | Generate] = queue.SimpleQueue()
        self.cancelled = 0
        """Number of the last generation that the parent cancelled."""

    def listen(self) -> None:
        """Read in another thread, so that a Cancel and the parent's exit are noticed while generating."""
        lines = self._control.makefile("rb")
        threading.Thread(target=self._read, args=(lines,), name="parent", daemon=True).start()

    def receive(self) -> Load | Generate:
        return self._inbox.get()

    def send(self, message: messages.FromChild) -> None:
        self._control.sendall(messages.encode(message))

    def _read(self, lines: BinaryIO) -> None:
        try:
            for line in lines:
                match messages.decode(line):
                    case Cancel(number=number):
                        self.cancelled = number
                    case MakePreviews(number=number, seconds=seconds):
                        self.previews.ask(number, seconds)
                    case Load() | Generate() as message:
                        self._inbox.put(message)
        finally:
            # The parent closed the socket or is gone; unread messages to it make that an error here. Exit at once: a
            # library that hangs must not keep the device.
            os._exit(0)


def main() -> None:
    descriptors = list(map(int, sys.argv[1:]))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    control, inbox, previews, *slots = descriptors
    # A shell sends Ctrl-C to the whole process group; the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = Parent(socket.socket(fileno=control), previews)
    parent.listen()
    run(parent, inbox, slots)


def run(parent: Parent, inbox: int, slots: Sequence[int]) -> None:
    backend = load(parent, cast(Load, parent.receive()))
    while True:
        reply, out = generate(parent, backend, cast(Generate, parent.receive()), inbox, slots)
        parent.send(reply)
        del out  # after the reply: unmapping 19 MB takes a millisecond, in which the parent can claim


def load(parent: Parent, wanted: Load) -> Backend:
    started = time.perf_counter()
    try:
        module, _, attribute = wanted.model.backend.partition(":")
        kind = cast(type[Backend], getattr(importlib.import_module(module), attribute))
        backend = kind.load(model=wanted.model, source=wanted.source, device=wanted.device)
    except ModelLoadError as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        problem = f"{error}. {_advice(error, wanted.model.backend)}"
    except Exception as error:  # noqa: BLE001 - the edge of the process: reported, then it exits
        traceback.print_exc()
        problem = f"The model {wanted.source} cannot be loaded: {_describe(error)}"
    else:
        notes = getattr(backend, "notes", ())
        parent.send(Ready(device=backend.device, seconds=time.perf_counter() - started, notes=notes))
        return backend
    parent.send(LoadFailed(message=problem))
    sys.exit(1)


def generate(
    parent: Parent, backend: Backend, wanted: Generate, inbox: int, slots: Sequence[int]
) -> tuple[Generated | GenerateFailed, NDArray[np.uint8] | None]:
    """Return the reply, and the pixels, so that the caller decides when they are unmapped."""
    out: NDArray[np.uint8] | None = None
    number, started = wanted.number, time.perf_counter()
    parent.previews.begin(number, wanted.preview_seconds)
    previews: dict[str, Any] = {"previews": parent.previews} if _makes_previews(type(backend)) else {}
    try:
        out = map_output(slots[wanted.slot], (wanted.count, wanted.spec.height, wanted.spec.width, 3))
        report = backend.generate(
            spec=wanted.spec,
            first=wanted.first,
            count=wanted.count,
            input_images=map_inputs(inbox, wanted.input_images),
            out=out,
            on_progress=lambda done: parent.send(TasksDone(number=number, done=done)),
            is_cancelled=lambda: parent.cancelled >= number,
            **previews,
        )
    except Exception as error:  # noqa: BLE001 - the edge of the process: reported, and the next can come
        return _failed(number, error), out
    return Generated(number=number, seconds=time.perf_counter() - started, report=report or GenerationReport()), out


@cache
def _makes_previews(kind: type[Backend]) -> bool:
    return "previews" in inspect.signature(kind.generate).parameters


def _failed(number: int, error: Exception) -> GenerateFailed:
    for kind, failure in messages.ERROR_TYPES.items():
        if isinstance(error, failure):
            return GenerateFailed(number=number, kind=kind, message=str(error)[:_MAX_MESSAGE_BYTES])
    traceback.print_exception(error)
    kind = "out_of_memory" if isinstance(error, MemoryError) else "failed"
    return GenerateFailed(number=number, kind=kind, message=_describe(error))


def _advice(error: ModuleNotFoundError, backend: str) -> str:
    if error.name and f"{backend.partition(':')[0]}.".startswith(f"{error.name}."):
        return f"The catalog names the backend {backend}: install its module here, or correct the name."
    return "Install what the engine needs: pip install 'pipelet-server[engine]'."


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_MAX_MESSAGE_BYTES]


if __name__ == "__main__":
    main()
