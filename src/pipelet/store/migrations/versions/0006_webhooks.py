"""Webhooks, and the keys that sign them."""

from alembic import op

from pipelet.store.migrations.run import statements

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    bind = op.get_bind()
    for statement in statements(bind.dialect.name, "0006_webhooks"):
        bind.exec_driver_sql(statement)
