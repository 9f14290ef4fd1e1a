-- As `list_job_ids`, for the jobs of one user.
WITH scanned AS MATERIALIZED (
  SELECT
{scanned_job}
  FROM job
  WHERE owner = :user AND submitted_at >= :since AND submitted_at <= :scan_at
    AND (submitted_at < :scan_at OR id < :scan_id)
  ORDER BY submitted_at DESC, id DESC
  LIMIT :scan_limit
)
{scanned_page}
