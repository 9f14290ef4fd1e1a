-- As SQLite's. In a function, because the server would otherwise plan it again for each position, which takes longer than
-- the query.
SELECT * FROM work_before(:apps::text[], :priority::integer, :turn::bigint, :seq::bigint)
