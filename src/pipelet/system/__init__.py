"""The operating system: users, files, processes and terminals."""
