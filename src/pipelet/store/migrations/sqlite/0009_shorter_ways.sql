-- For the list of deliveries in one state: if few of a million are in it, all others need not be read.
CREATE INDEX webhook_delivery_states ON webhook_delivery (state, since DESC, job_id);

-- For the lists and counts of all users' requests that wait, run, failed or were cancelled. Most of a million succeeded, and are
-- not in it.
CREATE INDEX job_states ON job (state, submitted_at) WHERE state <> 'succeeded';
