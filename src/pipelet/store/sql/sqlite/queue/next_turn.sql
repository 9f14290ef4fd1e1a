-- The turn of a request that arrives now, and what its user was charged until then; NULL in the order `fifo`. It is never
-- before a turn of the same user, so that the requests of one user start in their order. In a level without a clock, which
-- is new or was renamed, time begins with the first turn that waits.
SELECT CASE name WHEN 'fair' THEN start END AS start,
       CASE name WHEN 'fair' THEN MAX(start, COALESCE((
         SELECT MAX(turn) FROM job
         WHERE state = 'queued' AND model = :model AND priority = :priority AND owner = :owner AND charged_priority IS NOT NULL
       ), 0)) ELSE fifo_turn END AS turn
FROM queue_order CROSS JOIN (
  SELECT MAX(
    COALESCE(
      (SELECT at FROM turn_clock WHERE model = :model AND priority = :priority),
      (SELECT MIN(turn) FROM (
        SELECT * FROM (SELECT turn FROM job WHERE state = 'queued' AND app = :app AND quota_limited = 0
                       AND priority = :priority ORDER BY turn LIMIT 1)
        UNION ALL
        SELECT * FROM (SELECT turn FROM job WHERE state = 'queued' AND app = :app AND quota_limited = 1
                       AND priority = :priority ORDER BY turn LIMIT 1))),
      0
    ),
    COALESCE((SELECT finish FROM turn_account WHERE model = :model AND priority = :priority AND owner = :owner), 0)
  ) AS start
)
