INSERT INTO refusal (day, owner, reason, requests) VALUES (:day, :owner, :reason, :requests)
ON CONFLICT (day, owner, reason) DO UPDATE SET requests = refusal.requests + excluded.requests
