    id, submitted_at, state,
    (:key_id IS NULL OR key_id = :key_id) AND (:worker IS NULL OR worker = :worker) AND (:app IS NULL OR app = :app)
    AND (:state IS NULL OR state = :state) AND (:error_type IS NULL OR failure_kind = :error_type)
    AND (:priority IS NULL OR priority = :priority)
    AND (:retried IS NULL OR (retried_as IS NOT NULL) = :retried)
    AND (kept OR COALESCE(finished_at + retention_seconds > :now, 1))
    AND (:text IS NULL OR id = :text OR (
      (owner = :reader OR (:sees_content AND store_input))
      AND instr(lower(json_extract(spec, '$.prompt')), lower(:text)) > 0
    )) AS is_match
