"""One page on this machine, made anew whenever it is asked for."""

from __future__ import annotations

import html
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chtexp.errors import UserError

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")  # by which a browser may ask: a page elsewhere whose name leads here may not


def port_of(typed: str | int) -> int:
    """Read a port as typed.

    Raises:
        UserError: what was typed is no port.
    """
    if not str(typed).isdecimal() or int(typed) > 65535:
        raise UserError(f"--serve takes a port from 0 to 65535, not '{typed}'; say --serve last where KEY=VALUE follow")
    return int(typed)


def serve(make: Callable[[], str], port: int) -> int:
    """Answer requests with what `make` makes, one at a time, until Ctrl-C.

    Args:
        make: makes the page.
        port: the port; 0 for any.

    Returns:
        The exit code.

    Raises:
        UserError: the port cannot be had.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), _handler(make))
    except OSError as error:
        raise UserError(f"port {port} cannot be had ({error.strerror}); choose another, or --serve 0 for any") from None
    with server:
        print(f"http://{HOST}:{server.server_port}/ shows the report; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def _failure(said: str) -> str:
    return f"<!doctype html><title>chtexp</title><p>{html.escape(said)}</p>"


def _handler(make: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Host", "").partition(":")[0] not in NAMES:  # port 80 is left out
                self._answer(HTTPStatus.FORBIDDEN, f"This report is for http://{HOST} alone.")
            elif self.path.partition("?")[0] != "/":
                self._answer(HTTPStatus.NOT_FOUND, "There is one page: /")
            else:
                self._answer(*self._page())

        def _page(self) -> tuple[HTTPStatus, str]:
            try:
                with one_at_a_time:
                    return HTTPStatus.OK, make()
            except UserError as error:
                return HTTPStatus.INTERNAL_SERVER_ERROR, _failure(str(error))
            except Exception as error:  # the next load may go well
                traceback.print_exc()
                return HTTPStatus.INTERNAL_SERVER_ERROR, _failure(f"{type(error).__name__}: {error}")

        def _answer(self, status: HTTPStatus, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing, because nobody reads it."""

    return Handler
