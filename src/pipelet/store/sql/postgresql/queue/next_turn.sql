-- As SQLite's.
SELECT CASE WHEN is_fair THEN start END AS start,
       CASE WHEN is_fair THEN GREATEST(start, (
         SELECT MAX(turn) FROM job
         WHERE state = 'queued' AND model = :model AND priority = :priority AND owner = :owner AND charged_priority IS NOT NULL
       )) ELSE fifo_turn END AS turn
FROM (
  SELECT name = 'fair' AS is_fair, fifo_turn, GREATEST(
    turn_clock_at(:model, :app, :priority),
    (SELECT finish FROM turn_account WHERE model = :model AND priority = :priority AND owner = :owner)
  ) AS start
  FROM queue_order
) AS level
