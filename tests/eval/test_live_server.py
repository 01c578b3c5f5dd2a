"""The server of `live`: only who has the token, on this machine, gets the page or steers it."""

import http.client
import socket
from collections.abc import Iterator

import pytest

from ann2sdnn.eval.bench.live.server import Latest, LiveServer
from ann2sdnn.support.errors import UsageError

ASKED: list[int] = []


def only_below_five(value: int) -> None:
    if value >= 5:
        raise ValueError(value)
    ASKED.append(value)


@pytest.fixture
def server() -> Iterator[LiveServer]:
    ASKED.clear()
    with LiveServer("<p>page", Latest(), {"point": only_below_five}) as server:
        yield server


def answered(
    server: LiveServer,
    path: str,
    *,
    method: str = "GET",
    body: str | None = None,
    host: str | None = None,
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    headers = {} if host is None else {"Host": host}
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    is_stream = response.getheader("Content-Type") == "text/event-stream"  # has no end
    text = "" if is_stream else response.read().decode()
    connection.close()
    return response.status, text


def test_the_page_is_on_loopback_behind_a_token(server: LiveServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert answered(server, f"/{server.token}/") == (200, "<p>page")
    assert server.url.endswith(f":{server.server_port}/{server.token}/")
    assert len(server.token) >= 20


@pytest.mark.parametrize("path", ["/", "", "/favicon.ico", "/wrong/", "/wrong/frames", "//", "/é/"])
def test_without_the_token_nothing_is_answered(server: LiveServer, path: str) -> None:
    path = path.encode().decode("latin-1")
    status, text = answered(server, path) if path.isascii() else _raw(server, path)
    assert status == 403
    assert "<p>page" not in text
    assert answered(server, f"/{server.token[:-1]}/")[0] == 403
    assert answered(server, "/point", method="POST", body="1")[0] == 403
    assert ASKED == []


def _raw(server: LiveServer, path: str) -> tuple[int, str]:
    """The answer to a path that http.client would not send."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        host = f"127.0.0.1:{server.server_port}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        text = connection.recv(65536).decode()
    return int(text.split()[1]), text


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_is_refused_even_with_the_token(server: LiveServer, host: str) -> None:
    assert answered(server, f"/{server.token}/", host=host)[0] == 403
    path = f"/{server.token}/point"
    assert answered(server, path, method="POST", body="1", host=host)[0] == 403
    assert ASKED == []
    assert answered(server, f"/{server.token}/", host=f"localhost:{server.server_port}")[0] == 200


def test_commands(server: LiveServer) -> None:
    path = f"/{server.token}/point"
    assert answered(server, path, method="POST", body="3")[0] == 200
    assert ASKED == [3]
    for body in ("5", "x", "1.5", "9" * 2000, ""):
        expected = 200 if body == "" else 400
        assert answered(server, path, method="POST", body=body)[0] == expected
    assert ASKED == [3, 0]
    assert answered(server, f"/{server.token}/other", method="POST", body="3")[0] == 404
    assert answered(server, f"/{server.token}/point")[0] == 404


def test_frames_arrive_as_events(server: LiveServer) -> None:
    server.latest.put({"operations": 7})
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", f"/{server.token}/frames")
    response = connection.getresponse()
    assert response.getheader("Content-Type") == "text/event-stream"
    assert response.readline() == b'data: {"operations": 7}\n'
    server.latest.put({"operations": 8})
    assert response.readline() == b"\n"
    assert response.readline() == b'data: {"operations": 8}\n'
    connection.close()


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}: the port is in use; name another"):
            LiveServer("", Latest(), {}, port)
