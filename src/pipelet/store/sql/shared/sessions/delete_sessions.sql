DELETE FROM session
WHERE expires_at <= :now OR last_seen_at <= :idle_since
  OR key_id IN (SELECT id FROM api_key WHERE revoked_at IS NOT NULL OR expires_at <= :now)
