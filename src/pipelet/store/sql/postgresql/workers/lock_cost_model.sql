-- Other transactions that add observations wait for the end of this one.
SELECT pg_advisory_xact_lock(hashtext('pipelet.cost_model'), hashtext(:profile || '/' || :phase))
