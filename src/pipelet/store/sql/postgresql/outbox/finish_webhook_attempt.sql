-- Differs from SQLite's because one statement is one transaction and one round trip: it inserts the attempt, too.
WITH ended AS (
  UPDATE webhook_delivery SET state = :state, due_at = :due_at, lease_token = NULL
  WHERE job_id = :job_id AND lease_token = :token
  RETURNING job_id
), inserted AS (
  INSERT INTO webhook_attempt (job_id, at, seconds, code, error)
  SELECT job_id, :at::double precision, :seconds::double precision, :code::integer, :error::text FROM ended
)
SELECT job_id FROM ended
