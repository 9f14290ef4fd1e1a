-- Differs from SQLite's because accounts that a submit is changing are skipped.
DELETE FROM turn_account
WHERE ctid IN (
  SELECT ctid FROM turn_account
  WHERE (model, priority, owner) > (:after_model, :after_priority, :after_owner)
    AND (model, priority, owner) <= (:last_model, :last_priority, :last_owner)
    AND (
      finish <= (SELECT at FROM turn_clock WHERE model = turn_account.model AND priority = turn_account.priority)
      OR NOT EXISTS (
        SELECT 1 FROM job
        WHERE state = 'queued' AND charged_priority IS NOT NULL
          AND job.model = turn_account.model AND job.priority = turn_account.priority
      )
    )
  FOR UPDATE SKIP LOCKED
)
RETURNING owner
