SELECT app, priority, requests FROM queue_count WHERE level = 0 AND requests > 0 ORDER BY app, priority DESC
