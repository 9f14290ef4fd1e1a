"""`pipelet login`: a link that signs a browser in."""

import sys

from pipelet import settings
from pipelet.cli.database import operator
from pipelet.cli.options import DataDir
from pipelet.services.accounts.sessions import create_login_code
from pipelet.wiring.keys import find_login_key
from pipelet.wiring.store import open_store


async def login(*, key_id: str | None = None, data_dir: DataDir = None) -> None:
    """Print a link that signs a browser in, once, within five minutes. No key has to be copied.

    For example:

        pipelet login

        pipelet login --key-id 0c94d2a7b1e3

    Parameters
    ----------
    key_id
        Id of the key to sign in with. [default: the key in the data directory, or else the oldest valid key that
        `pipelet keys create --admin` made]
    """
    chosen = settings.load(data_dir=data_dir)
    async with open_store(chosen) as store:
        key = await find_login_key(chosen, store, key_id)
        code = await create_login_code(store, operator(), key.id)
    print(chosen.login_url(code))
    print(
        f"It signs in with the key {key.id} ({key.name}, user {key.user}), once, within five minutes.", file=sys.stderr
    )
