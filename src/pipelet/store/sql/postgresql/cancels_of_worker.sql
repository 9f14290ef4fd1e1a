-- The leases of its attempts that are to stop.
SELECT lease_token FROM job WHERE state = 'running' AND worker = :worker AND cancel_asked_at IS NOT NULL
