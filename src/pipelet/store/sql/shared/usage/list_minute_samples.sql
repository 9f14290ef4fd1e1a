SELECT * FROM minute_sample WHERE minute >= :first AND minute < :end ORDER BY minute, app
