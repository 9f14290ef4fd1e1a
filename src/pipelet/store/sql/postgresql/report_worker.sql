-- Unless the name belongs to another process that was heard of not long ago: then nothing is answered.
INSERT INTO worker (name, model, kind, apps, version, ready, problem, seen_at, expires_at, incarnation)
VALUES (:name, :model, :kind, :apps, :version, :ready, :problem, :seen_at, :expires_at, :incarnation)
ON CONFLICT (name) DO UPDATE SET
  model = excluded.model, kind = excluded.kind, apps = excluded.apps, version = excluded.version, ready = excluded.ready,
  problem = excluded.problem, seen_at = excluded.seen_at, expires_at = excluded.expires_at,
  incarnation = excluded.incarnation
WHERE worker.incarnation = excluded.incarnation OR worker.expires_at <= excluded.seen_at
RETURNING draining
