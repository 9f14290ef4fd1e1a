"""`pipelet cancel`: take a waiting request out of the queue."""

from pipelet.cli.connection import HERE, Connection, connect


def cancel(request_id: str, /, *, connection: Connection = HERE) -> None:
    """Cancel a request that still waits: it will never run. One that has begun goes on (then the exit code is 1).

    For example:

        pipelet cancel rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        What `pipelet generate --no-wait` printed.
    """
    with connect(connection) as client:
        client.cancel(request_id)
    print(f"Cancelled: {request_id} will not run.")
