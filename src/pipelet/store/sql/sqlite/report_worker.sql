INSERT INTO worker (name, kind, apps, version, ready, problem, seen_at, expires_at)
VALUES (:name, :kind, :apps, :version, :ready, :problem, :seen_at, :expires_at)
ON CONFLICT (name) DO UPDATE SET
  kind = excluded.kind, apps = excluded.apps, version = excluded.version, ready = excluded.ready,
  problem = excluded.problem, seen_at = excluded.seen_at, expires_at = excluded.expires_at
