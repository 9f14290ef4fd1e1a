INSERT INTO worker (name, model, kind, apps, version, ready, problem, seen_at, expires_at)
VALUES (:name, :model, :kind, :apps, :version, :ready, :problem, :seen_at, :expires_at)
ON CONFLICT (name) DO UPDATE SET
  model = excluded.model, kind = excluded.kind, apps = excluded.apps, version = excluded.version, ready = excluded.ready,
  problem = excluded.problem, seen_at = excluded.seen_at, expires_at = excluded.expires_at
