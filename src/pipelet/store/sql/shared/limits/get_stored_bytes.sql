SELECT CAST(COALESCE(SUM(bytes), 0) AS bigint) AS stored_bytes FROM stored_bytes WHERE owner = :owner
