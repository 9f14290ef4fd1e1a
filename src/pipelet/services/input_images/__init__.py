"""Input images of an edit: fetched, decoded and stored at submit."""
