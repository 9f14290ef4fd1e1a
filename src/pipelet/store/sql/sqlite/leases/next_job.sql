-- The job that a claim takes: the head of each wanted app's queue, one step into its index, then the first of these heads.
-- Heads of one model are compared by turn; turns of two models have nothing in common, so that model goes first whose head
-- was submitted first.
--
-- Jobs of limited keys are apart. Up to 32 at the head are skipped whose key or user would then run more images than allowed.
-- If more are in the way, the heads of all limited keys are compared, for each number of images: a key at its limit costs
-- one step then, however many of its jobs wait. Where no job of a limited key waits, all that is left out: it would cost
-- four times as much as the rest.
WITH wanted AS MATERIALIZED (
  SELECT value AS app FROM json_each(:apps) WHERE value NOT IN (SELECT app FROM paused_app)
),
head AS MATERIALIZED (
  SELECT seq, priority, turn, model
  FROM wanted CROSS JOIN job ON seq = (
    SELECT seq FROM job
    WHERE state = 'queued' AND app = wanted.app AND quota_limited = 0
      AND id NOT IN (SELECT value FROM json_each(:exclude_ids)) AND COALESCE(start_deadline > :now, true)
    ORDER BY priority DESC, turn, arrival
    LIMIT 1
  )
  UNION ALL
  SELECT seq, priority, turn, model
  FROM (
    SELECT app FROM wanted
    WHERE EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND app = wanted.app AND quota_limited = 1)
  ) AS wanted CROSS JOIN job ON seq = (
    SELECT * FROM (
      SELECT seq
      FROM (
        SELECT seq, id, priority, turn, start_deadline, key_id, owner, user_limited, image_count FROM job
        WHERE state = 'queued' AND app = wanted.app AND quota_limited = 1
        ORDER BY priority DESC, turn, arrival
        LIMIT 32
      ) AS near
      WHERE id NOT IN (SELECT value FROM json_each(:exclude_ids)) AND COALESCE(start_deadline > :now, true)
        AND NOT EXISTS (
          SELECT 1 FROM api_key WHERE api_key.id = near.key_id AND running_images + near.image_count > max_running_images
        )
        AND NOT EXISTS (
          SELECT 1 FROM user_limit
          WHERE near.user_limited AND user_limit.owner = near.owner AND running_images + near.image_count > max_running_images
        )
      ORDER BY priority DESC, turn, seq
      LIMIT 1
    )
    UNION ALL
    SELECT * FROM (
      WITH RECURSIVE of_key AS (
        SELECT * FROM (
          SELECT key_id, image_count FROM job
          WHERE state = 'queued' AND app = wanted.app AND quota_limited = 1 AND key_id IS NOT NULL
          ORDER BY key_id, image_count
          LIMIT 1
        )
        UNION ALL
        SELECT following.key_id, following.image_count
        FROM of_key CROSS JOIN job AS following ON following.seq = (
          SELECT seq FROM job
          WHERE state = 'queued' AND app = wanted.app AND quota_limited = 1 AND key_id IS NOT NULL
            AND (key_id, image_count) > (+of_key.key_id, +of_key.image_count)
          ORDER BY key_id, image_count
          LIMIT 1
        )
      )
      SELECT seq
      FROM of_key CROSS JOIN job ON seq = (
        SELECT seq FROM job
        WHERE state = 'queued' AND app = wanted.app AND quota_limited = 1
          AND key_id = of_key.key_id AND image_count = of_key.image_count
          AND id NOT IN (SELECT value FROM json_each(:exclude_ids)) AND COALESCE(start_deadline > :now, true)
        ORDER BY priority DESC, turn, arrival
        LIMIT 1
      )
      WHERE NOT EXISTS (
        SELECT 1 FROM api_key WHERE api_key.id = of_key.key_id AND running_images + of_key.image_count > max_running_images
      )
      AND NOT EXISTS (
        SELECT 1 FROM user_limit
        WHERE job.user_limited AND user_limit.owner = job.owner AND running_images + job.image_count > max_running_images
      )
      ORDER BY priority DESC, turn, seq
      LIMIT 1
    )
    LIMIT 1
  )
)
SELECT seq
FROM (SELECT *, FIRST_VALUE(seq) OVER (PARTITION BY priority, model ORDER BY turn, seq) AS model_seq FROM head)
ORDER BY priority DESC, model_seq, turn, seq
LIMIT 1
