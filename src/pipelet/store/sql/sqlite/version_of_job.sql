-- What tells one snapshot of a job from the next: all else never changes, or changes only together with the state.
SELECT state, attempt, started_at, tasks_done, tasks_total, priority, seq FROM job WHERE id = :id
