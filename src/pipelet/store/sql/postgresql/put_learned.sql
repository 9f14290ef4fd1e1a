INSERT INTO learned (kind, phase, count, sums) VALUES (:kind, :phase, :count, :sums)
ON CONFLICT (kind, phase) DO UPDATE SET count = excluded.count, sums = excluded.sums
