DELETE FROM turn_clock
WHERE NOT EXISTS (
  SELECT 1 FROM turn_account WHERE turn_account.model = turn_clock.model AND turn_account.priority = turn_clock.priority
) AND NOT EXISTS (
  SELECT 1 FROM job
  WHERE state = 'queued' AND charged_priority IS NOT NULL
    AND job.model = turn_clock.model AND job.priority = turn_clock.priority
)
