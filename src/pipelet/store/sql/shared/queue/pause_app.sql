INSERT INTO paused_app (app, since) VALUES (:app, :now) ON CONFLICT (app) DO NOTHING RETURNING app
