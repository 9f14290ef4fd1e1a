-- What would keep this session from writing.
SELECT
  pg_is_in_recovery() AS is_standby,
  current_setting('transaction_read_only')::boolean AS is_read_only,
  current_user AS user_name,
  ARRAY(
    SELECT name
    FROM unnest(ARRAY[
      'api_key', 'audit_entry', 'cost_model', 'deleted_request', 'file', 'idempotency_key', 'job', 'job_input_file',
      'job_log', 'login_code', 'minute_sample', 'paused_app', 'queue_order', 'queue_run', 'refusal',
      'replaced_secret', 'sampled_report', 'session', 'stored_bytes', 'turn_account', 'turn_clock', 'usage',
      'usage_entry', 'usage_newest_day', 'user_limit', 'webhook_attempt', 'webhook_delivery', 'webhook_key',
      'webhook_pace', 'worker'
    ]) AS name
    WHERE NOT (
      has_table_privilege(to_regclass(name), 'SELECT')
      AND has_table_privilege(to_regclass(name), 'INSERT')
      AND has_table_privilege(to_regclass(name), 'UPDATE')
      AND has_table_privilege(to_regclass(name), 'DELETE')
    )
    UNION ALL
    SELECT 'job_front' WHERE NOT has_sequence_privilege(to_regclass('job_front'), 'USAGE')
  ) AS forbidden
