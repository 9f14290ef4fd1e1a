"""Where finished files are stored, and the URLs that fetch them."""
