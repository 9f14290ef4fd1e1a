"""Builds the parts from the settings. Only this package knows which adapter implements a port."""
