-- What a trigger does for deliveries: a user's next webhook comes later by the time that the limit gives to each.
INSERT INTO webhook_pace (owner, next_at)
SELECT owner, :now + 60.0 / max_webhooks_per_minute FROM user_limit
WHERE owner = :owner AND max_webhooks_per_minute IS NOT NULL
ON CONFLICT (owner) DO UPDATE
SET next_at = excluded.next_at + CASE WHEN webhook_pace.next_at > :now THEN webhook_pace.next_at - :now ELSE 0.0 END
