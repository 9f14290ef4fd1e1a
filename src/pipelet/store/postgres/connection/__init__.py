"""How the shared database is reached, queried and watched."""
