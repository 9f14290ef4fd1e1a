"""Limits of keys, and what an operator can do to the queue."""

from alembic import op

from pipelet.store.migrations.run import statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    bind = op.get_bind()
    for statement in statements(bind.dialect.name, "0003_operating"):
        bind.exec_driver_sql(statement)
