DELETE FROM replaced_secret WHERE expires_at <= :now
