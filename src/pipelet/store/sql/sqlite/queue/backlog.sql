SELECT COALESCE(SUM(requests), 0) AS requests, COALESCE(SUM(steps), 0.0) AS steps,
       COALESCE(SUM(megapixels), 0.0) AS megapixels, COALESCE(SUM(megapixel_steps), 0.0) AS megapixel_steps,
       COALESCE(SUM(attention), 0.0) AS attention
FROM json_each(:apps) AS wanted
JOIN queue_run AS counted ON counted.app = wanted.value AND counted.grain = 0 AND counted.priority >= :priority
