DELETE FROM login_code WHERE expires_at <= :now
