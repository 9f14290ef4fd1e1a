"""AUTOMATIC1111's API, under `/sdapi/v1`: what SillyTavern, Open WebUI and LibreChat use of it."""
