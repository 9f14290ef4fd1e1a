-- The columns that tell one snapshot of a job from the next: all others never change, or change only with the state.
SELECT state, attempt, started_at, tasks_done, tasks_total, priority, seq, kept, retried_as FROM job WHERE id = :id
