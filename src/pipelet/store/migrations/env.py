"""Alembic's entry: runs the revisions in the one transaction that `run.py` has opened."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
