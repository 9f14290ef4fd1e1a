SELECT app, priority, requests FROM queue_run WHERE grain = 0 AND requests > 0 ORDER BY app, priority DESC
