"""The route under `/api/v1/apps`."""
