"""Whether the files that run are ours: another project owns the name `pipelet` on the public package index."""

from importlib.metadata import Distribution, distributions

import pipelet
from pipelet.domain.errors import Unusable

_REINSTALL = "pip install --force-reinstall pipelet-server"


def check_installation() -> None:
    """Refuse an environment where two packages have installed files into the folder `pipelet/`.

    Raises:
        Unusable: with the commands that separate them.
    """
    for found in distributions(name="pipelet"):
        if _installs_our_folder(found):
            raise Unusable(
                f"The package `pipelet {found.version}` is installed in this environment. It is not this program, and "
                "both have installed files into the same folder `pipelet/`. Type these two lines:\n\n"
                f"  pip uninstall pipelet\n  {_REINSTALL}"
            )
    if not hasattr(pipelet, "__version__"):  # uninstalling the other package takes our __init__.py along
        raise Unusable(f"Files of this program are missing. Type this line:\n\n  {_REINSTALL}")


def _installs_our_folder(found: Distribution) -> bool:
    """False for an editable installation of our own source, made before it was called `pipelet-server`."""
    record = found.read_text("RECORD")
    return record is None or any(line.startswith("pipelet/") for line in record.splitlines())
