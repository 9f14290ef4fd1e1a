SELECT * FROM user_limit WHERE owner = :owner
