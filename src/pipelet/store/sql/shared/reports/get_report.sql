SELECT sampled_at, body FROM sampled_report WHERE name = :name AND body IS NOT NULL
