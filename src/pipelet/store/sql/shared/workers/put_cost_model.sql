INSERT INTO cost_model (profile, phase, count, sums) VALUES (:profile, :phase, :count, :sums)
ON CONFLICT (profile, phase) DO UPDATE SET count = excluded.count, sums = excluded.sums
