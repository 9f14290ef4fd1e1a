-- Two uploads of a user are checked against the limits one after the other. The user may have no row to lock.
SELECT pg_advisory_xact_lock(hashtext('pipelet.upload'), hashtext(:owner))
