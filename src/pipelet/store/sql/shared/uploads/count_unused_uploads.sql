SELECT COUNT(*) AS unused FROM upload WHERE owner = :owner AND NOT used
