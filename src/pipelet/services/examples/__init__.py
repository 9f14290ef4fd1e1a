"""Examples that every API, the page and the command line show."""
