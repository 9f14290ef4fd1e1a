"""The page: its first view, its watchers at the service, and its memory in a browser after a long day."""
