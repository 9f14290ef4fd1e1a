-- The newest jobs that match, and in the last row the last one that was looked at, with how many were. A filter that
-- matches few jobs is answered in steps: `scan_limit` bounds each.
-- Differs from SQLite's because parameters and JSON have types, and because of the index: see its migration.
WITH scanned AS MATERIALIZED (
  SELECT id, submitted_at, state,
    (:key_id::text IS NULL OR key_id = :key_id) AND (:worker::text IS NULL OR worker = :worker) AND (:app::text IS NULL OR app = :app)
    AND (:state::text IS NULL OR state = :state) AND (:error_type::text IS NULL OR failure_kind = :error_type)
    AND (:priority::integer IS NULL OR priority = :priority)
    AND (kept OR COALESCE(finished_at + retention_seconds > :now, true))
    AND (:text::text IS NULL OR id = :text OR (
      (owner = :reader OR (:sees_content AND store_input))
      AND strpos(lower(spec::json ->> 'prompt'), lower(:text)) > 0
    )) AS is_match
  FROM job
  WHERE submitted_at + 0 >= :since AND submitted_at + 0 <= :scan_at
    AND (submitted_at < :scan_at OR id < :scan_id)
  ORDER BY submitted_at + 0 DESC, id DESC
  LIMIT :scan_limit
)
SELECT * FROM (
  SELECT id, submitted_at, state, NULL::bigint AS scanned FROM scanned
  WHERE is_match AND submitted_at <= :after_at AND (submitted_at < :after_at OR id < :after_id)
  ORDER BY submitted_at DESC, id DESC
  LIMIT :limit
) AS matching
UNION ALL
SELECT * FROM (
  SELECT id, submitted_at, state, (SELECT COUNT(*) FROM scanned) AS scanned FROM scanned ORDER BY submitted_at, id LIMIT 1
) AS seen
