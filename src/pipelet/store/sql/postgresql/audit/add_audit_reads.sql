INSERT INTO audit_entry (at, action, target, actor, key_id, address, once)
SELECT CAST(:at AS double precision), CAST(:action AS text), target, CAST(:actor AS text), CAST(:key_id AS text),
       CAST(:address AS text), CAST(:once AS text) || target
FROM unnest(CAST(:targets AS text[])) AS target
ON CONFLICT (once) DO NOTHING
