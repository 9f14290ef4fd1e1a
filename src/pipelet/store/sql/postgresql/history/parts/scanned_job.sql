    -- Differs from SQLite's because parameters and JSON have types.
    id, submitted_at, state,
    (:key_id::text IS NULL OR key_id = :key_id) AND (:worker::text IS NULL OR worker = :worker) AND (:app::text IS NULL OR app = :app)
    AND (:state::text IS NULL OR state = :state) AND (:error_type::text IS NULL OR failure_kind = :error_type)
    AND (:priority::integer IS NULL OR priority = :priority)
    AND (:retried::boolean IS NULL OR (retried_as IS NOT NULL) = :retried)
    AND (kept OR COALESCE(finished_at + retention_seconds > :now, true))
    AND (:text::text IS NULL OR id = :text OR (
      (owner = :reader OR (:sees_content AND store_input))
      AND strpos(lower(spec::json ->> 'prompt'), lower(:text)) > 0
    )) AS is_match
