"""A proxy on a Unix socket or TCP port that delays, cuts or answers for the server, for the requests that match a pattern.

It sees bytes, not messages: a rule's pattern is looked for in each piece that a client sends. A request of HTTP, Redis or
MongoDB begins with a piece of its own, so a pattern that begins with ``^`` finds the start of a request.
"""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import define, field

_PIECE = 1 << 16
_DROP = 250
Address = str | tuple[str, int]


@define(eq=False)
class Rule:
    """What happens to the next ``times`` matching requests after the first ``skip``.

    ``delay`` seconds pass before the request goes on, ``cut`` closes both ends instead, ``answer`` is sent in the server's
    place, what ``reply`` makes of the request is sent so, too, unless that is nothing, and the connection stays,
    ``lose_reply`` closes both ends once the server begins to reply, ``stall_reply`` holds the reply for so many seconds,
    ``cut_reply_after`` closes both ends after so many bytes of it, ``drip`` passes 250 bytes of it on each so many seconds,
    ``do`` is called before all else.
    """

    pattern: bytes
    times: int = 1
    skip: int = 0
    delay: float = 0.0
    cut: bool = False
    answer: bytes = b""
    reply: Callable[[bytes], bytes] = lambda _: b""
    lose_reply: bool = False
    stall_reply: float = 0.0
    cut_reply_after: int | None = None
    drip: float = 0.0
    do: Callable[[], None] = lambda: None
    struck: int = 0

    def takes(self, piece: bytes) -> bool:
        """Whether the rule is for this piece; counts it."""
        if self.struck >= self.times or not re.search(self.pattern, piece, re.DOTALL):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.struck += 1
        return True


def http_error(status: int, message: str = "the proxy says no") -> bytes:
    """An HTTP answer as Docker gives it, after which the connection is closed."""
    return http_reply(status, f'{{"message": "{message}"}}'.encode(), "application/json")


def http_reply(status: int, body: bytes, kind: str) -> bytes:
    """An HTTP answer with a body of this content type, after which the connection is closed."""
    head = f"HTTP/1.1 {status} Fault\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@define(eq=False)
class _Pair:
    """A client's connection and the one to the server that belongs to it."""

    client: socket.socket
    server: socket.socket
    rule: Rule | None = None
    passed: int = 0

    def close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@define(eq=False)
class Proxy:
    """Listens for the length of a block. ``listening`` is a path, or a TCP port on loopback that is chosen on entering."""

    upstream: Address
    path: Path | None = None
    rules: list[Rule] = field(factory=list)
    pieces: list[bytes] = field(factory=list)
    down: bool = False
    _pairs: list[_Pair] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)
    _flowing: threading.Event = field(factory=threading.Event)
    _door: socket.socket = field(init=False)

    def __enter__(self) -> Self:
        self._flowing.set()
        self._door = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
        self._door.bind(str(self.path) if self.path else ("127.0.0.1", 0))
        self._door.listen(256)
        self._thread(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.flow()
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.cut()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._door.getsockname()[1])

    def add(self, pattern: bytes, **what: object) -> Rule:
        """A rule for requests from now on."""
        rule = Rule(pattern, **what)
        self.rules.append(rule)
        return rule

    def cut(self) -> None:
        """Close all connections; new ones are let in unless ``down``."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.close()

    def go_down(self) -> None:
        """Close all connections and every new one, as a server that is away does."""
        self.down = True
        self.cut()

    def come_up(self) -> None:
        """Let connections in again."""
        self.down = False

    def stall(self) -> None:
        """Pass nothing on in either direction."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on what has come meanwhile."""
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            pair = _Pair(client, socket.socket(socket.AF_UNIX if isinstance(self.upstream, str) else socket.AF_INET))
            try:
                if self.down:
                    raise ConnectionRefusedError
                pair.server.connect(self.upstream)
            except OSError:
                pair.close()
                continue
            with self._lock:
                self._pairs.append(pair)
            self._thread(self._requests, pair)
            self._thread(self._replies, pair)

    def _requests(self, pair: _Pair) -> None:
        with suppress(OSError):
            while piece := pair.client.recv(_PIECE):
                self.pieces.append(piece[:200])
                self._flowing.wait()
                if not self._strike(pair, piece):
                    pair.server.sendall(piece)
            pair.server.shutdown(socket.SHUT_WR)
            return
        self._end(pair)

    def _strike(self, pair: _Pair, piece: bytes) -> bool:
        """Do what the rules say before the request goes on; whether it is not to go on."""
        rule = next((rule for rule in self.rules if rule.takes(piece)), None)
        if rule is None:
            return False
        rule.do()
        time.sleep(rule.delay)
        if reply := rule.reply(piece):
            pair.client.sendall(reply)
            return True
        if rule.answer:
            pair.client.sendall(rule.answer)
        if rule.answer or rule.cut:
            self._end(pair)
            return True
        pair.rule, pair.passed = rule, 0
        return False

    def _replies(self, pair: _Pair) -> None:
        with suppress(OSError):
            while piece := pair.server.recv(_PIECE):
                self._flowing.wait()
                _send(pair, self._reply(pair, piece))
        self._end(pair)

    def _reply(self, pair: _Pair, piece: bytes) -> bytes:
        """What is passed on of a reply. Raises OSError where it is cut."""
        rule = pair.rule
        if rule is None:
            return piece
        if rule.lose_reply:
            raise ConnectionResetError
        if rule.stall_reply:
            pair.rule = None
            time.sleep(rule.stall_reply)
        if rule.cut_reply_after is not None:
            piece = piece[: rule.cut_reply_after - pair.passed]
            pair.passed += len(piece)
            if not piece:
                raise ConnectionResetError
        return piece

    def _end(self, pair: _Pair) -> None:
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
        pair.close()

    @staticmethod
    def _thread(target: Callable[..., None], *args: object) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()


def _send(pair: _Pair, piece: bytes) -> None:
    """Pass a piece of a reply on, all at once or by drops."""
    pause = pair.rule.drip if pair.rule else 0.0
    size = _DROP if pause else len(piece)
    for start in range(0, len(piece), size or 1):
        pair.client.sendall(piece[start : start + size])
        time.sleep(pause)
