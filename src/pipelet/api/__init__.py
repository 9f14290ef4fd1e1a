"""HTTP APIs: each translates between its protocol and the services."""
