import resource

from pipelet.engine.diffusers.backend import DiffusersBackend


class Cramped(DiffusersBackend):
    """The real thing in a process that may grow by 50 MB while it generates."""

    def generate(self, **request):
        unlimited = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + 50_000_000, unlimited[1]))
        try:
            super().generate(**request)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, unlimited)
