SELECT 1 AS found FROM usage_entry LIMIT 1
