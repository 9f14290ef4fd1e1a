SELECT day, owner, reason, requests FROM refusal
WHERE day >= :since AND (CAST(:owner AS text) IS NULL OR owner = :owner)
ORDER BY day, owner, reason
