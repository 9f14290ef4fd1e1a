"""Asyncio helpers that know nothing about Pipelet."""
