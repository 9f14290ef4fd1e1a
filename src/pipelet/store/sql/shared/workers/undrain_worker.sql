UPDATE worker SET draining = false WHERE name = :name AND expires_at > :now AND draining RETURNING name
