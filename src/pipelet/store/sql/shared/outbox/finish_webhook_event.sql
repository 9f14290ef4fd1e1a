UPDATE webhook_event
SET lease_token = NULL, due_at = :due_at, changed = changed OR :is_retry,
    attempts = CASE WHEN :is_retry THEN attempts ELSE 0 END
WHERE job_id = :job_id AND event = :event AND lease_token = :token
