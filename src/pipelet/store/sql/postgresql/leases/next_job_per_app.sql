-- Differs from SQLite's because claims run concurrently: where others have just taken the job of one app, there is another.
SELECT * FROM next_jobs(:apps::text[], :exclude_ids::text[], :now)
