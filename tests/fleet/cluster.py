"""Three machines of a Ray cluster on this one, each with a GPU that is only counted, and `pipelet fleet` for them."""

import contextlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support import fork_server, processes
from tests.support.service import Service, environment, kill_any, stopped

CONFIG = {
    # A dead node is noticed after seconds, not after half a minute.
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
    # No idle processes for tasks, which a fleet has none of: each imports Ray, in a second.
    "enable_worker_prestart": False,
    "prestart_worker_first_driver": False,
    # Tests wait for the workers while other tests take the cores.
    "worker_niceness": 0,
}


SETUP_HOOK = {"__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": "tests.support.fork_server.children.install"}
"""Variable that Ray's processes go by: those with an actor fork its worker, as a service of the tests does."""


MACHINE = {"num_cpus": 1, "resources": {"gpu": 1}}


class Machines:
    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._nodes: list[Any] = [cluster.head_node]
        self.address: str = cluster.address

    def add(self) -> None:
        self._nodes.append(self._cluster.add_node(**MACHINE))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """All engines stand still inside: what is submitted begins, and does not end."""
        with stopped(
            [pid for node in self._nodes for pid in _processes_of(node) if _runs(pid, "pipelet.engine.child")]
        ):
            yield

    def cut_power(self) -> None:
        """Of one that has a worker, and is not the head: all that runs there is killed, the engine, too."""
        running = [(node, _processes_of(node)) for node in self._nodes[1:]]
        node, pids = next((node, pids) for node, pids in running if any(_runs(pid, "pipelet\0worker") for pid in pids))
        kill_any(pids)
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def three_machines() -> Iterator[Machines]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it speaks of its own next versions
        from ray.cluster_utils import Cluster  # only here: each worker of pytest imports this module
    unused = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    head = {**MACHINE, "_system_config": CONFIG, **unused}
    fork_server.address()  # is in the environment from now on
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        _environment(environment({"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder, **SETUP_HOOK})),
    ):
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            machines = Machines(cluster)
            for _ in range(2):
                machines.add()
            yield machines
        finally:
            cluster.shutdown()


class Fleet:
    """`pipelet fleet` for `service`. Leaving the `with` block stops it politely, and fails where that goes wrong."""

    def __init__(
        self, machines: Machines, service: Service, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> None:
        command = ["fleet", "--address", machines.address, "--resource", "gpu=1", *arguments]
        self._log_file = service.folder / f"fleet-{len(list(service.folder.glob('fleet-*')))}.log"
        with self._log_file.open("w") as log:
            self.process = fork_server.start(
                command,
                cwd=service.folder,
                env=environment(variables, **service.settings),
                stdout=log.fileno(),
                stderr=log.fileno(),
            )

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait(10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Of its log: all, or those of an event."""
        written = self._log_file.read_text().rpartition("\n")[0].splitlines()
        found = [json.loads(line) for line in written if line.startswith("{")]
        return [line for line in found if event in ("", line["event"])]


def _runs(pid: int, command: str) -> bool:
    return command.encode() in b"\0".join(processes.arguments(pid))


def _processes_of(node: Any) -> list[int]:
    [raylet] = node.all_processes["raylet"]
    return [raylet.process.pid, *processes.marked(f"RAY_RAYLET_PID={raylet.process.pid}")]


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Ray's nodes inherit ours."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
