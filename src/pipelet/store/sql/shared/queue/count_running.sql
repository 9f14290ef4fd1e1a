SELECT app, COUNT(*) AS running FROM job WHERE state = 'running' GROUP BY app
