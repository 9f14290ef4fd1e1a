"""API keys and their users."""
