UPDATE worker SET draining = true WHERE name = :name AND expires_at > :now AND NOT draining RETURNING name
