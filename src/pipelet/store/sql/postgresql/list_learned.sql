SELECT * FROM learned
