"""Flags that several commands have."""

from typing import Annotated

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative=(), show_default=False)]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
