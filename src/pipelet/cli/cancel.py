"""`pipelet cancel`: take a request out of the queue, or stop it."""

from pipelet.cli.connection import HERE, Connection, connect
from pipelet.client import TooLate


def cancel(request_id: str, /, *, running: bool = False, connection: Connection = HERE) -> None:
    """Cancel a request that still waits: it will never run. One that has begun goes on (then the exit code is 1).

    For example:

        pipelet cancel rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        What `pipelet generate --no-wait` printed.
    running
        Stop it also where it has begun: within one step, and what is finished by then is kept.
    """
    with connect(connection) as client:
        try:
            client.cancel(request_id, running=running)
        except TooLate as error:
            if not error.is_running:
                raise
            raise TooLate(f"The request has begun. Stop it with: pipelet cancel {request_id} --running") from error
    print(f"Cancelled: {request_id} {'ends' if running else 'will not run'}.")
