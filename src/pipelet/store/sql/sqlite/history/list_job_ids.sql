-- The newest jobs that match, and in the last row the last one that was looked at, with how many were. A filter that
-- matches few jobs is answered in steps: `scan_limit` bounds each.
WITH scanned AS MATERIALIZED (
  SELECT
{scanned_job}
  FROM job
  WHERE submitted_at >= :since AND submitted_at <= :scan_at
    AND (submitted_at < :scan_at OR id < :scan_id)
  ORDER BY submitted_at DESC, id DESC
  LIMIT :scan_limit
)
{scanned_page}
