"""Z-Image at its full size on a GPU."""
