DELETE FROM minute_sample WHERE minute < :before OR minute > :after RETURNING minute
