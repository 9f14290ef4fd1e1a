"""Routes for operators: health, metrics, webhook keys, files and the page at /docs."""
