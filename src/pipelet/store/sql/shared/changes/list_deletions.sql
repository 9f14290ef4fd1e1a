SELECT number, owner, id FROM deleted_request WHERE number > :after ORDER BY number LIMIT :limit
