import subprocess
import sys
import threading

from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    """Hangs, with a process of its own that hangs, too, and holds stdout open."""

    def draw(self, *, on_task, **rest):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        on_task(helper.pid)
        threading.Event().wait()
