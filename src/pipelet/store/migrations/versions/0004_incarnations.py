"""Which process a worker's report is of."""

from alembic import op

from pipelet.store.migrations.run import statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    bind = op.get_bind()
    for statement in statements(bind.dialect.name, "0004_incarnations"):
        bind.exec_driver_sql(statement)
