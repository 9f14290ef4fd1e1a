DELETE FROM upload WHERE id = :id AND owner = :owner AND expires_at > :now RETURNING key
