-- Returns no row, and writes none, if the name belongs to another process that reported recently.
INSERT INTO worker (name, model, profile, apps, version, ready, problem, seen_at, expires_at, incarnation)
VALUES (:name, :model, :profile, :apps, :version, :ready, :problem, :seen_at, :expires_at, :incarnation)
ON CONFLICT (name) DO UPDATE SET
  model = excluded.model, profile = excluded.profile, apps = excluded.apps, version = excluded.version,
  ready = excluded.ready, problem = excluded.problem, seen_at = excluded.seen_at, expires_at = excluded.expires_at,
  incarnation = excluded.incarnation
WHERE worker.incarnation = excluded.incarnation OR worker.expires_at <= excluded.seen_at
RETURNING draining
