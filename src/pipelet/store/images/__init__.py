"""Images that are no results: uploads, and previews."""
