"""A hub on the loopback interface: it gives out folders, and refuses in the ways of the real one."""

import hashlib
import json
from pathlib import Path

from tests.support.servers.web import Request, Response, WebServer, head, saying, whole

COMMIT = "0" * 39 + "1"


def fake_hub(model: Path, decoder: Path | None = None) -> WebServer:
    """`owner/model` and `owner/decoder` are folders, with the branch `main`, its commit, and no other revision."""

    def choose(request: Request) -> Response:
        owner_and_name = "/".join(request.path.removeprefix("/api/models").strip("/").split("/")[:2])
        match owner_and_name:
            case "owner/gated":
                return whole(b"{}", "403 Forbidden", X_Error_Code="GatedRepo", X_Error_Message="Access is restricted.")
            case "owner/bare":
                return whole(b"", "404 Not Found", X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            case "owner/model":
                return _of_folder(model, owner_and_name, request)
            case "owner/decoder" if decoder:
                return _of_folder(decoder, owner_and_name, request)
        return whole(
            b"{}", "401 Unauthorized", X_Error_Code="RepoNotFound", X_Error_Message="Invalid username or password."
        )

    return WebServer(choose)


def _of_folder(folder: Path, name: str, request: Request) -> Response:
    path = request.path.removeprefix("/api/models").removeprefix(f"/{name}")
    kind, revision, *rest = (path or "/revision/main").strip("/").split("/")
    if revision not in ("main", COMMIT):
        return whole(b"{}", "404 Not Found", X_Error_Code="RevisionNotFound")
    files = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
    match kind:
        case "revision":
            info = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": each} for each in files]}
            return whole(json.dumps(info).encode(), Content_Type="application/json")
        case "tree":
            tree = [_entry(folder, each) for each in files]
            return whole(json.dumps(tree).encode(), Content_Type="application/json")
    file = "/".join(rest)
    if file not in files:
        return whole(b"", "404 Not Found", X_Error_Code="EntryNotFound")
    content = (folder / file).read_bytes()
    first = head(Content_Length=len(content), X_Repo_Commit=COMMIT, ETag=f'"{_digest(content)}"')
    return saying(first) if request.method == "HEAD" else saying(first, content)


def _entry(folder: Path, name: str) -> dict[str, object]:
    content = (folder / name).read_bytes()
    return {"type": "file", "path": name, "size": len(content), "oid": _digest(content)}


def _digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
