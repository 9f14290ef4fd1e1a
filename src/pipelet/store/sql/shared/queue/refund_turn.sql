UPDATE turn_account SET finish = finish - :turn_cost
WHERE model = :model AND priority = :charged_priority AND owner = :owner
