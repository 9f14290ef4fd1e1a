DELETE FROM session WHERE hash = :hash RETURNING id
