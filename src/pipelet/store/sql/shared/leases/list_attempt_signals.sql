-- What users want of a worker's attempts: that they stop, or previews. The others are left out.
SELECT job.lease_token, job.cancel_requested_at, preview.wanted_until
FROM job LEFT JOIN preview ON preview.job_id = job.id AND preview.wanted_until > :now
WHERE job.state = 'running' AND job.worker = :worker
  AND (job.cancel_requested_at IS NOT NULL OR preview.job_id IS NOT NULL)
