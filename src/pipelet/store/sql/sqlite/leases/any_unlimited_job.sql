-- Whether `next_job` would find a job without looking at limited keys, which is all that most claims need to know.
SELECT 1 AS found FROM json_each(:apps) AS wanted
WHERE wanted.value NOT IN (SELECT app FROM paused_app) AND EXISTS (
  SELECT 1 FROM job
  WHERE state = 'queued' AND app = wanted.value AND quota_limited = 0
    AND id NOT IN (SELECT value FROM json_each(:exclude_ids)) AND COALESCE(start_deadline > :now, true)
)
LIMIT 1
