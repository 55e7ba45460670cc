"""A loopback HTTP server that speaks enough of the ClickHouse protocol for clickhouse-connect, executing on chDB.

``python store_http.py DIRECTORY USER PASSWORD`` prints its port and serves until it is killed. It runs in a process
of its own, because a process has one chDB directory. Every request gets a connection of its own, so that the
settings in its query string end with it, as on a server.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb

_LOCK = threading.Lock()
_NO_SETTINGS = {
    "query", "database", "user", "password", "query_id", "session_id", "session_timeout", "compress", "decompress",
    "enable_http_compression", "wait_end_of_query", "send_progress_in_http_headers", "client_protocol_version",
    "http_headers_progress_interval_ms", "buffer_size", "role",
}  # fmt: skip
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handler(BaseHTTPRequestHandler):
    """One request: a query in the body, or a query in the URL with the rows to insert in the body."""

    protocol_version = "HTTP/1.1"
    directory = user = password = ""
    fail_next: list[tuple[int, str]] = []  # noqa: RUF012 - shared by all requests on purpose

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(pieces)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        url = urlsplit(self.path)
        if url.path == "/ping":
            return self._reply(200, b"Ok.\n")
        params = dict(parse_qsl(url.query, keep_blank_values=True))
        if not self._known(params):
            return self._fail(
                403, 516, "Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)"
            )
        sql = params.get("query", "")
        data = body if sql else b""
        sql = sql or body.decode()
        if data and self.fail_next:
            code, text = self.fail_next.pop(0)
            return self._fail(500, code, f"Code: {code}. DB::Exception: {text}")
        if sql.startswith("-- fail the next inserts "):  # for tests: "-- fail the next inserts 2 252 TOO_MANY_PARTS"
            count, code, text = sql.split(" ", 7)[5:]
            self.fail_next += [(int(code), text)] * int(count)
            return self._reply(200, b"")
        try:
            return self._run(sql, data, params)
        except Exception as error:  # noqa: BLE001 - every error becomes an answer
            text = str(error)
            found = re.search(r"Code: (\d+)", text)
            return self._fail(500, int(found.group(1)) if found else 1001, text[text.find("Code: ") if found else 0 :])

    def _known(self, params: dict[str, str]) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(given).decode().partition(":")
        user = params.get("user", self.headers.get("X-ClickHouse-User", user))
        password = params.get("password", self.headers.get("X-ClickHouse-Key", password))
        return (user, password) == (self.user, self.password)

    def _run(self, sql: str, data: bytes, params: dict[str, str]) -> None:
        found = _FORMAT.search(sql)
        form = found.group(1) if found else "TabSeparated"
        with _LOCK:
            connection = chdb.connect(self.directory)
            try:
                for name, value in params.items():
                    if name not in _NO_SETTINGS and not name.startswith("param_"):
                        connection.query(f"SET {name} = {_literal(value)}")
                if data:
                    head = sql[: found.start()] if found else sql
                    with connection.send_insert(head, form) as insert:
                        insert.append(data)
                        rows = insert.finish().rows_written
                    summary = {"written_rows": str(rows), "written_bytes": str(len(data))}
                    return self._reply(200, b"", summary)
                body = connection.query(sql[: found.start()] if found else sql, form).bytes()
            finally:
                connection.close()
        return self._reply(200, body or b"", {"read_rows": "0"}, form)

    def _fail(self, status: int, code: int, text: str) -> None:
        self._reply(status, text.encode(), code=code)

    def _reply(
        self, status: int, body: bytes, summary: dict[str, str] | None = None, form: str = "", code: int = 0
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Timezone", "UTC")
        if summary is not None:
            self.send_header("X-ClickHouse-Summary", json.dumps(summary))
        if form:
            self.send_header("X-ClickHouse-Format", form)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until killed."""
    Handler.directory, Handler.user, Handler.password = sys.argv[1:4]
    keep = chdb.connect(Handler.directory)  # held, so that the engine stays open between requests
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    finally:
        keep.close()


if __name__ == "__main__":
    main()
