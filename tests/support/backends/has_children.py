import subprocess
import sys
import threading

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    """Hangs, with a process of its own that hangs, too, and holds stdout open."""

    def generate(self, *, on_progress, **rest):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        on_progress(helper.pid)
        threading.Event().wait()
