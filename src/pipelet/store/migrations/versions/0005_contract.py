"""What a submit may ask beside its input, and cancels of what runs."""

from alembic import op

from pipelet.store.migrations.run import statements

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    bind = op.get_bind()
    for statement in statements(bind.dialect.name, "0005_contract"):
        bind.exec_driver_sql(statement)
