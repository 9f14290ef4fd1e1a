INSERT INTO turn_account (model, priority, owner, finish) VALUES (:model, :priority, :owner, :start + :turn_cost)
ON CONFLICT DO UPDATE SET finish = excluded.finish
