SELECT app, since FROM paused_app
