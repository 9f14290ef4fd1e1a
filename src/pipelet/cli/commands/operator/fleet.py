"""`pipelet fleet`: workers on the machines of a Ray cluster."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipelet import logs, settings
from pipelet.cli.database import wait_for_database
from pipelet.cli.options import DataDir, ModelName, Switch, setting
from pipelet.cli.signals import on_stop_signals
from pipelet.domain.errors import OperationalError
from pipelet.fleet.policy import ScalingPolicy
from pipelet.wiring.fleet import open_fleet

if TYPE_CHECKING:
    from pipelet.fleet.autoscaler import Autoscaler


def _flag(field: str) -> str:
    return {"minimum": "min", "maximum": "max"}.get(field, field.replace("_", "-"))


def fleet(
    *,
    address: str = "auto",
    policy: Annotated[ScalingPolicy, Parameter(name="*", name_transform=_flag)],
    resource: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = ("GPU=1",),
    shared_files: Switch = False,
    model: ModelName = None,
    app: Annotated[str | None, setting("worker_app", default="the only model")] = None,
    data_dir: DataDir = None,
) -> None:
    """Scale workers over the machines of a Ray cluster: one on each GPU, as many as the queued work needs.

    It runs on a machine of the cluster, and needs PostgreSQL and, for files, S3. Its settings apply to all workers. It
    replaces dead workers. At SIGTERM or Ctrl-C it stops its workers first, and running requests may finish within the
    grace period; a second signal puts them back into the queue. If the fleet dies, its workers keep running, and the
    next fleet takes them over.

    For example:

        pipelet fleet --app z-image-text-to-image --min 1 --max 8 --target-drain-seconds 120

    Parameters
    ----------
    address
        Head of the cluster, HOST:PORT; auto finds the cluster that this machine is part of.
    resource
        What a worker needs of a node, as Ray counts it; repeat the flag for a second resource. [default: GPU=1]
    shared_files
        The folder of the files is the same on every machine, for example over NFS; S3 is not needed then.
    """
    chosen = settings.load(model=model, worker_app=app, data_dir=data_dir)
    _check(policy)
    resources = _resources(resource)
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    wait_for_database(chosen)
    asyncio.run(_run(open_fleet(chosen, policy, address=address, resources=resources, files_are_shared=shared_files)))


async def _run(opening: AbstractAsyncContextManager["Autoscaler"]) -> None:
    async with opening as fleet:
        with on_stop_signals(fleet.stop):
            await fleet.run()


def _check(policy: ScalingPolicy) -> None:
    low, high = policy.minimum, policy.maximum
    if not 0 <= low <= high or high < 1:
        raise OperationalError(
            f"--min {low} and --max {high} are invalid: 0 <= min <= max must hold, and max must be at least 1."
        )
    if not 0 < policy.target_drain_seconds < math.inf or not 0 <= policy.scale_down_delay_seconds < math.inf:
        raise OperationalError("--target-drain-seconds must be positive, and --scale-down-delay-seconds not negative.")


def _resources(resources: Sequence[str]) -> dict[str, float]:
    amounts = {}
    for each in resources:
        name, _, amount = each.partition("=")
        try:
            amounts[name] = float(amount)
        except ValueError:
            amounts[name] = math.nan
        if not name or not 0 < amounts[name] < math.inf:
            raise OperationalError(f"--resource {each} must look like GPU=1.")
    return amounts
