"""Where finished files lie, and the URLs that fetch them."""
