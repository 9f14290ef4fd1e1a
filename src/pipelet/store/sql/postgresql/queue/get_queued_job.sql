-- Locked: no claim and no cancel takes the job while its account and its place change.
SELECT * FROM job WHERE id = :id AND state = 'queued' FOR UPDATE
