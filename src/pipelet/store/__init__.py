"""The queue, durable: on SQLite for one machine, on PostgreSQL for many. The only place with SQL."""
