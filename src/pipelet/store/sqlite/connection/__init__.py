"""How the embedded database is opened, read, written and watched."""
