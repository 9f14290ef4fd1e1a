"""Checks of the installation, for `pipelet doctor` and for every start."""
