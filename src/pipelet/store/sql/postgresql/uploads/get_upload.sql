SELECT id FROM upload WHERE id = :id
