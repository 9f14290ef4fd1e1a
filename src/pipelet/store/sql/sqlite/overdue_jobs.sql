-- What may not begin any more: it has waited for longer than it was to, or was to be cancelled while its attempt was cut short.
SELECT id, cancel_asked_at FROM job WHERE state = 'queued' AND start_by <= :now ORDER BY start_by LIMIT :limit
