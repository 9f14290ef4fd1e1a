"""Stands in for `python` where only a path to it can be given: gets a forked process, and ends as that ends.

It runs without the site's packages, and must import nothing that takes time.
"""

import json
import os
import socket
import struct
import sys

_NUMBER = struct.Struct("i")


def main(path: str, *command: str) -> int:
    content = {"command": command, "cwd": os.getcwd(), "env": dict(os.environ), "numbers": [0, 1, 2]}
    message = json.dumps(content).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [_NUMBER.pack(len(message))], [0, 1, 2])
        connection.sendall(message)
        for file in (0, 1, 2):
            os.close(file)
        connection.recv(_NUMBER.size)  # the id of the process
        return os.waitstatus_to_exitcode(*_NUMBER.unpack(connection.recv(_NUMBER.size)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
