SELECT * FROM job WHERE state = 'running' AND worker = :worker
