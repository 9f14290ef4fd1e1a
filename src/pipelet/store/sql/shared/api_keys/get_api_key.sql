SELECT * FROM api_key WHERE id = :id
