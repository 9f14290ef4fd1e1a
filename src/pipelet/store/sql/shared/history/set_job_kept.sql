UPDATE job SET kept = :kept WHERE id = :id RETURNING id
