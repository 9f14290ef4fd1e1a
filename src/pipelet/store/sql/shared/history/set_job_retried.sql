UPDATE job SET retried_as = :retried_as WHERE id = :id RETURNING id
