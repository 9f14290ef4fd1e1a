-- Returns no row if another process started it after `since`.
INSERT INTO sampled_report AS known (name, started_at) VALUES (:name, :now)
ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at
WHERE known.started_at <= :since OR known.started_at > :now
RETURNING name
