"""Orderly stop at SIGTERM and Ctrl-C."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def on_stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the event loop at each SIGINT and SIGTERM. After the block, signals end the process again."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)  # sets the default action, which process 1 lacks
            signal.signal(number, before[number])
