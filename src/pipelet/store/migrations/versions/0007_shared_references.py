"""Pictures that several requests start from."""

from alembic import op

from pipelet.store.migrations.run import statements

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    bind = op.get_bind()
    for statement in statements(bind.dialect.name, "0007_shared_references"):
        bind.exec_driver_sql(statement)
