DELETE FROM paused_app WHERE app = :app RETURNING app
