"""fal's protocol in OpenAPI."""
