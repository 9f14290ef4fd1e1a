"""`pipelet cancel`: remove a request from the queue, or stop it."""

from pipelet.cli.options import DEFAULT_CONNECTION, ConnectionOptions, OwnRequestId, connect
from pipelet.client_types import NotCancellable


def cancel(
    request_id: OwnRequestId, /, *, running: bool = False, connection: ConnectionOptions = DEFAULT_CONNECTION
) -> None:
    """Cancel a queued request: it never runs. A running request continues, and the exit code is 1.

    For example:

        pipelet cancel rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    running
        Stop a running request, too: within one step. Images that are finished by then are kept.
    """
    with connect(connection) as client:
        try:
            client.cancel(request_id, running=running)
        except NotCancellable as error:
            if not error.is_running:
                raise
            raise NotCancellable(
                f"The request is running. Stop it with: pipelet cancel {request_id} --running"
            ) from error
    print(f"Cancelled: {request_id} {'stops' if running else 'will not run'}.")
