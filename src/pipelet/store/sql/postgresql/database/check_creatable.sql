-- What would keep this session from creating tables.
SELECT
  pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_read_only,
  current_database() AS database,
  current_schema() AS schema,
  current_user AS user_name,
  has_schema_privilege(current_schema(), 'CREATE') AS may_create
