import pytest

from pipelet.domain.database_url import fault_of, hosts_of, name_of


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u@h/db", "h:5432/db"),
        ("postgresql://u:p%40ss@h:5433/db?sslmode=require", "h:5433/db"),
        ("postgresql://u@a:1,b:2/db?target_session_attrs=read-write", "a:1,b:2/db"),
        ("postgresql://u@[::1]:5,b/db", "[::1]:5,b:5432/db"),
        ("postgresql://u@/db?host=/run/pg&port=5433", "/run/pg:5433/db"),
        ("postgresql://u@%2Frun%2Fpg/db", "/run/pg:5432/db"),
        ("postgresql:///db?user=u&password=secret", "localhost:5432/db"),
    ],
)
def test_a_database_is_named_without_user_and_password(url: str, name: str) -> None:
    """By its hosts and its name, whichever of the driver's forms the URL has."""
    assert (None, name) == (fault_of(url), name_of(url))


@pytest.mark.parametrize("character", ["@", "/", "#", "?", "%", "["])
def test_a_raw_character_in_a_password_is_refused_without_a_part_of_it(character: str) -> None:
    """The driver would take what follows it for a host: the fault says how to write it, and the name shows nothing."""
    url = f"postgresql://app:pass{character}word@db.example.com/pipelet"

    assert "percent-encoded" in str(fault_of(url))
    assert "word" not in f"{fault_of(url)} {name_of(url)}".replace("user or password", "")


@pytest.mark.parametrize(
    "rest", ["h:x/db", "h:70000/db", "a,,b/db", "::1/db", "h/db?sslmode", "/db?host=a,,b", "/db?host=a&port=x"]
)
def test_what_the_driver_cannot_read_is_refused(rest: str) -> None:
    """Ports, lists of hosts, addresses and parameters: each has a fault; the driver would raise."""
    assert fault_of(f"postgresql://u@{rest}")


def test_hosts_come_with_their_ports() -> None:
    """Each has its own, that of the query, or the usual one."""
    assert [("a", 1), ("b", 5432)] == hosts_of("postgresql://u@a:1,b/db")
    assert [("a", 1), ("b", 2)] == hosts_of("postgresql:///db?host=a,b&port=1,2")
    assert [] == hosts_of("postgresql:///db")
