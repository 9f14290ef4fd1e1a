-- The leases of a worker's attempts that have to stop.
SELECT lease_token FROM job WHERE state = 'running' AND worker = :worker AND cancel_requested_at IS NOT NULL
