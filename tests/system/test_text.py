"""Text of others on a terminal."""

import pytest

from pipelet.cli.output import print_table
from pipelet.system.text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a red apple, ein Apfel, 赤いりんご, 🍎", "a red apple, ein Apfel, 赤いりんご, 🍎"),
        ("\x1b[2J\x07\r\n\t", r"\x1b[2J\x07\r\n\t"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("gpj.\u202eexe\u2066\u200f", r"gpj.\u202eexe\u2066\u200f"),
        ("\ud83c\u2028", r"\ud83c\u2028"),
        ("family 👨‍👩‍👧", "family 👨‍👩‍👧"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text: str, shown: str) -> None:
    """Control characters, directions and what cannot be encoded; letters of all scripts stay."""
    assert shown == visible(text)


def test_tables_show_names_of_users_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A name cannot write over the row above."""
    print_table(("user", "state"), [("eve\x1b[1A", "valid")])

    assert "user        state\neve\\x1b[1A  valid\n" == capsys.readouterr().out
