"""`pipelet fleet`: workers over the machines of a Ray cluster."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelet import logs, settings, wiring
from pipelet.cli.flags import Switch
from pipelet.cli.signals import on_stop_signals
from pipelet.cli.waiting import wait_for_database
from pipelet.domain.errors import Unusable
from pipelet.fleet.sizing import Goal
from pipelet.settings import Settings
from pipelet.wiring.fleet import open_fleet


def fleet(
    *,
    address: str = "auto",
    minimum: Annotated[int, Parameter(name="--min")] = 1,
    maximum: Annotated[int, Parameter(name="--max")],
    clear_within: float = 60.0,
    patience: float = 300.0,
    resource: Annotated[Sequence[str], Parameter(negative=(), show_default=False)] = ("GPU=1",),
    shared_files: Switch = False,
    model: str | None = None,
    app: str | None = None,
    data_dir: Path | None = None,
) -> None:
    """Keep workers on the machines of a Ray cluster: one on each GPU, as many as the waiting work asks for.

    It runs on a machine of the cluster, and needs PostgreSQL and, for files, S3. Its settings reach all workers. Dead
    workers are replaced. Stopped with SIGTERM or Ctrl-C, it sends its workers away first, and each finishes what it
    draws within the grace time; said twice, they hand it back. If it dies, they work on, and the next one takes them
    over.

    For example:

        pipelet fleet --min 1 --max 8 --clear-within 120

    Parameters
    ----------
    address
        The cluster's head, HOST:PORT; auto finds the one that this machine is part of.
    minimum
        Workers that stay, however little there is to do.
    maximum
        The most workers, however much there is.
    clear_within
        Seconds in which all that waits should be drawn: for more than so much work, as it is predicted, workers are
        added.
    patience
        Seconds for which fewer workers must have been enough before one is sent away.
    resource
        What a worker occupies of a node, as Ray counts it; may be given again for a second kind. [default: GPU=1]
    shared_files
        The folder of the files is the same on every machine, for example over NFS; S3 is then not needed.
    model
        What to draw with: a name in the catalog, a hub id or a folder. [default: the model in the box]
    app
        Needed only if the apps of the catalog use several models: load the model of this app, and serve every app
        that uses it. [default: the only model]
    data_dir
        Where the workers' machines keep what is theirs alone. [default: .pipelet]
    """
    chosen = settings.load(model=model, app=app, data_dir=data_dir)
    goal = _goal(minimum=minimum, maximum=maximum, clear_within=clear_within, patience=patience)
    resources = _amounts(resource)
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    wait_for_database(chosen)
    asyncio.run(_keep(chosen, goal, address=address, resources=resources, files_are_shared=shared_files))


async def _keep(
    chosen: Settings, goal: Goal, *, address: str, resources: dict[str, float], files_are_shared: bool
) -> None:
    catalog = wiring.read_catalog(chosen)
    async with wiring.open_store(chosen, writes=True) as store:
        with (
            open_fleet(
                chosen,
                address=address,
                resources=resources,
                goal=goal,
                files_are_shared=files_are_shared,
                store=store,
                catalog=catalog,
            ) as fleet,
            on_stop_signals(fleet.stop),
        ):
            await fleet.run()


def _goal(*, minimum: int, maximum: int, clear_within: float, patience: float) -> Goal:
    if not 0 <= minimum <= maximum or maximum < 1:
        raise Unusable(f"--min {minimum} and --max {maximum} must be such that 0 <= min <= max, and max at least 1.")
    if not 0 < clear_within < math.inf or not 0 <= patience < math.inf:
        raise Unusable("--clear-within must be positive, and --patience not negative.")
    return Goal(minimum=minimum, maximum=maximum, clear_within=clear_within, patience=patience)


def _amounts(resources: Sequence[str]) -> dict[str, float]:
    amounts = {}
    for each in resources:
        name, _, amount = each.partition("=")
        try:
            amounts[name] = float(amount)
        except ValueError:
            amounts[name] = math.nan
        if not name or not 0 < amounts[name] < math.inf:
            raise Unusable(f"--resource {each} must look like GPU=1.")
    return amounts
