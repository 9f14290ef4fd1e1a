-- How many jobs `list_job_ids_in_state` finds without another criterion, at most `limit`, from the index alone.
SELECT COUNT(*) AS requests
FROM (
  SELECT 1 FROM job
  WHERE state = :state AND state || '' <> 'succeeded' AND submitted_at >= :since AND submitted_at < :until
    AND (:retried::boolean IS NULL OR (retried_as IS NOT NULL) = :retried)
    AND (kept OR COALESCE(finished_at + retention_seconds > :now, true))
  LIMIT :limit
) AS found
