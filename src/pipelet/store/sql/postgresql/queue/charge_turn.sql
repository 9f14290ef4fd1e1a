INSERT INTO turn_account (model, priority, owner, finish) VALUES (:model, :priority, :owner, :start::bigint + :turn_cost)
ON CONFLICT (model, priority, owner) DO UPDATE SET finish = excluded.finish
