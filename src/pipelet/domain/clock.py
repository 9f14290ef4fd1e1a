"""The clock of the real world."""

import time


class SystemClock:
    def now(self) -> float:
        return time.time()
