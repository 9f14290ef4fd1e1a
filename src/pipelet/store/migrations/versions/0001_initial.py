"""The queue, its keys, its workers and what they learned."""

from alembic import op

from pipelet.store.migrations.run import statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    bind = op.get_bind()
    for statement in statements(bind.dialect.name, "0001_initial"):
        bind.exec_driver_sql(statement)
