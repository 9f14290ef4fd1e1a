"""Check that the files that run are ours: another project owns the name `pipelet` on the public package index."""

from importlib.metadata import Distribution, distributions

import pipelet
from pipelet.domain.errors import OperationalError

_REINSTALL = "pip install --force-reinstall pipelet-server"


def check_installation() -> None:
    """Refuse an environment where two packages have installed files into the folder `pipelet/`.

    Raises:
        OperationalError: the message has the commands that separate the packages.
    """
    for found in distributions(name="pipelet"):
        if _installs_our_folder(found):
            raise OperationalError(
                f"The package `pipelet {found.version}` is installed in this environment. It is another project, and "
                "both have installed files into the folder `pipelet/`. Run these two commands:\n\n"
                f"  pip uninstall pipelet\n  {_REINSTALL}"
            )
    if not hasattr(pipelet, "__version__"):  # uninstalling the other package deletes our __init__.py
        raise OperationalError(f"Files of this program are missing. Run this command:\n\n  {_REINSTALL}")


def _installs_our_folder(found: Distribution) -> bool:
    """Return False for an editable installation of our source from before its package was called `pipelet-server`."""
    record = found.read_text("RECORD")
    return record is None or any(line.startswith("pipelet/") for line in record.splitlines())
