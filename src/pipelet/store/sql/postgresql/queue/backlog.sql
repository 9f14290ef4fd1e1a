SELECT COALESCE(SUM(requests), 0)::bigint AS requests, COALESCE(SUM(steps), 0.0) AS steps,
       COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention), 0.0) AS attention
FROM queue_run
WHERE app = ANY(:apps::text[]) AND grain = 0 AND priority >= :priority
