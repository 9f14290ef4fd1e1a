"""URLs of PostgreSQL databases: what is wrong with one, and how to name a database without its password."""

import re
from urllib.parse import parse_qs, unquote, urlsplit

_DEFAULT_PORT = 5432
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[^\[\]:]+)(:(?P<port>[0-9]{1,5})?)?")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODE = (
    "has a character in its user or password that must be percent-encoded: % as %25, @ as %40, / as %2F, # as %23, ? "
    "as %3F, : as %3A, [ as %5B, ] as %5D"
)
_LOOKS_LIKE = "must look like postgresql://user:password@host:5432/database"
_HOSTS_LOOK_LIKE = f"{_LOOKS_LIKE}; several hosts as a:5432,b:5432, and an IPv6 address in brackets"
_QUERY_LOOKS_LIKE = f"{_LOOKS_LIKE}, and what follows a ? like sslmode=require&application_name=pipelet"


def fault_of(url: str) -> str | None:
    """What is wrong with the URL, in words that show nothing of it; None where the driver can read it.

    The driver cuts a URL at the first raw `@`, `/`, `?` or `#`, and would take what follows in a password for a host.
    """
    user, hosts, path, query = _split(url)
    if "#" in url or "@" in hosts + path or _ESCAPE.search(user) or set("[]") & set(user):
        return _ENCODE
    if hosts and not all(map(_is_host, hosts.split(","))):
        return _ENCODE if "@" in query else _HOSTS_LOOK_LIKE
    try:
        urlsplit(url)
        values = parse_qs(query, strict_parsing=True) if query else {}
    except ValueError:
        return _ENCODE if "@" in query else _QUERY_LOOKS_LIKE
    if not all(map(_is_port, values.get("port", ["1"])[-1].split(","))):
        return "has a port in its query that is none"
    if "," in values.get("host", [""])[-1] and "" in values["host"][-1].split(","):
        return "has an empty host in its query"
    return None


def name_of(url: str) -> str:
    """Hosts and database, such as `db.example.com:5432/pipelet`: what a message may show."""
    if fault_of(url) is not None:
        return "PIPELET_DATABASE_URL"
    _, _, path, _ = _split(url)
    values = _query(url)
    database = path.removeprefix("/") or values.get("dbname") or values.get("database") or ""
    hosts = hosts_of(url) or [("localhost", _DEFAULT_PORT)]
    named = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
    return f"{named}/{database}" if database else named


def hosts_of(url: str) -> list[tuple[str, int]]:
    """The hosts that a URL without fault names, each with its port; empty where it leaves them to the driver."""
    _, hosts, _, _ = _split(url)
    values = _query(url)
    found = [_HOST.fullmatch(each) for each in hosts.split(",")] if hosts else []
    pairs = [(each["host"].strip("[]"), each["port"]) for each in found if each]
    if not pairs and (named := values.get("host")):
        pairs = [(host, None) for host in named.split(",")]
    ports = values.get("port", "").split(",")
    by_number = ports if len(ports) == len(pairs) else [ports[0]] * len(pairs)
    return [
        (unquote(host), int(port or default or _DEFAULT_PORT))
        for (host, port), default in zip(pairs, by_number, strict=True)
    ]


def parameter(url: str, name: str) -> str | None:
    """What stands for `name` after the `?`."""
    return _query(url).get(name)


def _query(url: str) -> dict[str, str]:
    query = _split(url)[3]
    return {name: values[-1] for name, values in parse_qs(query).items()}


def _split(url: str) -> tuple[str, str, str, str]:
    """User and password, hosts, path, query: cut where the driver cuts."""
    rest = url.partition("://")[2].partition("#")[0]
    before, _, query = rest.partition("?")
    authority, slash, path = before.partition("/")
    user, at, hosts = authority.partition("@")
    return (user, hosts, slash + path, query) if at else ("", authority, slash + path, query)


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and _is_port(found["port"] or str(_DEFAULT_PORT))


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) < 65536
