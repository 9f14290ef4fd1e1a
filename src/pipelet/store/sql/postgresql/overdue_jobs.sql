-- What may not begin any more: it has waited for longer than it was to, or was to be cancelled while its attempt was cut short.
-- Differs from SQLite's because several processes look at once: one, and locked, that no claim has locked before.
SELECT id, cancel_asked_at FROM job WHERE state = 'queued' AND start_by <= :now ORDER BY start_by LIMIT :limit
FOR UPDATE SKIP LOCKED
