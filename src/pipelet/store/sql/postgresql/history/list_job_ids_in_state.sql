-- As `list_job_ids`, for the jobs in one state other than `succeeded`: few among many. Not for a
-- search, which looks at the newest jobs of all states.
WITH scanned AS MATERIALIZED (
  SELECT id, submitted_at, state,
    (:key_id::text IS NULL OR key_id = :key_id) AND (:worker::text IS NULL OR worker = :worker) AND (:app::text IS NULL OR app = :app)
    AND (:error_type::text IS NULL OR failure_kind = :error_type)
    AND (:priority::integer IS NULL OR priority = :priority)
    AND (:retried::boolean IS NULL OR (retried_as IS NOT NULL) = :retried)
    AND (kept OR COALESCE(finished_at + retention_seconds > :now, true)) AS is_match
  FROM job
  WHERE state = :state AND state || '' <> 'succeeded' AND submitted_at >= :since AND submitted_at <= :scan_at
    AND (submitted_at < :scan_at OR id < :scan_id)
  ORDER BY submitted_at DESC, id DESC
  LIMIT :scan_limit
)
{scanned_page}
