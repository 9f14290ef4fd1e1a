"""For all tests."""

import signal

# A shell that runs us in the background has Ctrl-C ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
