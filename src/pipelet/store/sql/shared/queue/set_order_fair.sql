UPDATE queue_order SET name = 'fair' WHERE name <> 'fair' RETURNING name
