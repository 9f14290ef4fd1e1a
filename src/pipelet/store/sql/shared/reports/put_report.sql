UPDATE sampled_report SET sampled_at = :now, body = :body WHERE name = :name RETURNING name
