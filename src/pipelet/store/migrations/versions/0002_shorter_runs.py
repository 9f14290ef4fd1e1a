"""Counts of the queue in shorter runs."""

from alembic import op

from pipelet.store.migrations.run import statements

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    bind = op.get_bind()
    for statement in statements(bind.dialect.name, "0002_shorter_runs"):
        bind.exec_driver_sql(statement)
