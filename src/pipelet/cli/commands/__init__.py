"""Subcommands, one module each. A module is imported when its command runs."""
