UPDATE upload SET used = true WHERE id = :id RETURNING id
