UPDATE webhook SET lease_token = :token, due_at = :expires_at, tries = tries + 1
WHERE job_id = (
  SELECT job_id FROM webhook
  WHERE due_at <= :now AND receiver NOT IN (SELECT value FROM json_each(:busy))
  ORDER BY due_at LIMIT 1
)
RETURNING job_id, receiver, tries
