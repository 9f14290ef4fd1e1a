"""The HTTP server: uvicorn, with bounds on what a client may send and hold. It knows nothing of Pipelet."""
