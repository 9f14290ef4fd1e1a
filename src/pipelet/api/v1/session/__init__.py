"""Sessions of browsers: the cookie that opens `/api/v1`, and nothing else."""
