SELECT * FROM job WHERE id = :id AND state = 'queued'
