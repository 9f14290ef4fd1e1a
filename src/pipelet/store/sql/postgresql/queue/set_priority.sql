WITH moved AS (
  UPDATE job SET
    requested_priority = COALESCE(requested_priority, priority),
    priority = :priority,
    turn = :turn,
    charged_priority = :charged_priority
  WHERE id = :id AND state = 'queued'
  RETURNING id
), logged AS (
  INSERT INTO job_log (job_id, at, level, message) SELECT id, :now, 'INFO', :message FROM moved
)
SELECT id FROM moved
