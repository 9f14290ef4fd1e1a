"""fal's protocol: submit, status, stream, result, cancel, run, and the proxy of its JavaScript client."""
