SELECT * FROM worker WHERE expires_at > :now ORDER BY name
