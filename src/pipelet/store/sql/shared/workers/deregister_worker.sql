DELETE FROM worker WHERE name = :name AND incarnation = :incarnation
