SELECT * FROM minute_sample WHERE minute = :minute AND app = :app
