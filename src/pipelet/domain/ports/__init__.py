"""Ports: one protocol for each need of the core."""
