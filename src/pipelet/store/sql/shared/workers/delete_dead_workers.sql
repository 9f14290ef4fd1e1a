DELETE FROM worker WHERE expires_at <= :before
