"""Commands that run the service, or work directly in its database."""
