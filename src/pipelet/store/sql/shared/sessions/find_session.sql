SELECT * FROM session WHERE hash = :hash
