-- Idle are accounts at or before their level's clock, and those of levels in which nothing waits: no turn depends on them.
SELECT account.model, account.priority, account.owner, COALESCE(finish <= at, false) OR NOT EXISTS (
  SELECT 1 FROM job
  WHERE state = 'queued' AND charged_priority IS NOT NULL
    AND job.model = account.model AND job.priority = account.priority
) AS is_idle
FROM turn_account AS account
LEFT JOIN turn_clock ON turn_clock.model = account.model AND turn_clock.priority = account.priority
WHERE (account.model, account.priority, account.owner) > (:after_model, :after_priority, :after_owner)
ORDER BY account.model, account.priority, account.owner
LIMIT :limit
