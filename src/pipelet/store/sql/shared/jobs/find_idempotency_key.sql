SELECT * FROM idempotency_key WHERE owner = :owner AND key = :key AND expires_at > :now
