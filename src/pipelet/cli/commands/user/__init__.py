"""Commands that call the service over HTTP."""
