-- In one order, so that no two changes of priority wait for each other. A missing account is added, so that it can be locked.
INSERT INTO turn_account AS known (model, priority, owner, finish)
SELECT :model, priority, :owner, 0 FROM unnest(:priorities::integer[]) AS priority ORDER BY priority
ON CONFLICT (model, priority, owner) DO UPDATE SET finish = known.finish
