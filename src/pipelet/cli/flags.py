"""Flags that several commands have."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
Internal = Annotated[bool, Parameter(show=False)]
"""Of one of our own processes for another."""
DataDir = Annotated[Path | None, Parameter(help="Where the database lies. [default: .pipelet]")]
