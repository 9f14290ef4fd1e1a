UPDATE worker SET draining = 1 WHERE name = :name AND expires_at > :now RETURNING name
