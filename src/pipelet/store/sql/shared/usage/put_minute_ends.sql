INSERT INTO minute_sample (minute, app, finished, failed, queue_wait, total, estimate_error)
VALUES (:minute, :app, :finished, :failed, :queue_wait, :total, :estimate_error)
ON CONFLICT (minute, app) DO UPDATE SET
  finished = excluded.finished, failed = excluded.failed, queue_wait = excluded.queue_wait, total = excluded.total,
  estimate_error = excluded.estimate_error
