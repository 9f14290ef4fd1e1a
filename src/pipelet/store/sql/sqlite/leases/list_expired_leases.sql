SELECT * FROM job WHERE state = 'running' AND lease_expires_at <= :now
