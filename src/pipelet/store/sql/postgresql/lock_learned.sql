-- Others may teach at the same time: they wait for the end of this transaction.
SELECT pg_advisory_xact_lock(hashtext('pipelet.learned'), hashtext(:kind || '/' || :phase))
