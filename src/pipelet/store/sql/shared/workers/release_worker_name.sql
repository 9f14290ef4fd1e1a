DELETE FROM worker WHERE name = :name
