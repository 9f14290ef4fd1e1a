SELECT EXISTS (SELECT 1 FROM job WHERE id = :id AND lease_token = :token)
