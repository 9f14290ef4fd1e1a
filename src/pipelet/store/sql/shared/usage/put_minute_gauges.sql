-- The first sample of a minute counts.
INSERT INTO minute_sample (minute, app, queued, oldest_seconds, running, workers)
VALUES (:minute, :app, :queued, :oldest_seconds, :running, :workers)
ON CONFLICT (minute, app) DO UPDATE SET
  queued = excluded.queued, oldest_seconds = excluded.oldest_seconds, running = excluded.running, workers = excluded.workers
WHERE minute_sample.queued IS NULL
