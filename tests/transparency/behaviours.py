"""What calls do, by name: each is run by every client against every server, directly and through the balancer."""

from __future__ import annotations

from typing import Any

from tests.transparency.peers.script import Call

READ: Any = [["half-close"], ["read-all"]]
ECHO: Any = [["read-all"], ["send", 10, 1]]

BEHAVIOURS = {
    # sizes
    "an empty message": Call([["send", 0, 1], *READ], [["read-all"], ["send", 0, 1]]),
    "a message of a mebibyte": Call([["send", 2**20, 1], *READ], [["read-all"], ["send", 2**20, 1]]),
    "a message of three mebibytes": Call([["send", 3 * 2**20, 1], *READ], [["read-all"], ["send", 3 * 2**20, 1]]),
    "a hundred messages each way": Call([["send", 1000, 100], *READ], [["read-all"], ["send", 1000, 100]]),
    "no message at all": Call(READ, [["read-all"]]),
    # metadata
    "metadata each way": Call(
        READ,
        [["initial", [("i", "1"), ("i", "2")]], ["tell"], ["end", 0, "", [("t", "1"), ("t", "2")]]],
        [
            ("k", "1"),
            ("k", "2"),
            ("empty", ""),
            ("under_score", "x"),
            ("x-request-id", "7"),
        ],
    ),
    "metadata that a proxy may set": Call(
        READ, [["tell"]], [("via", "x"), ("x-forwarded-proto", "https"), ("x-envoy-other", "1"), ("server", "s")]
    ),
    "addresses that a caller claims": Call(
        READ,
        [["tell"]],
        [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("true-client-ip", "1.2.3.4"),
            ("x-envoy-external-address", "1.2.3.4"),
        ],
    ),
    "cookies": Call(READ, [["tell"]], [("cookie", "a=1"), ("cookie", "b=2")]),
    "metadata of Envoy's own": Call(READ, [["tell"]], [("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "9")]),
    "30 KiB of metadata each way": Call(
        READ, [["initial", [("i", 10_000)]], ["tell"], ["end", 0, "", [("t", 10_000)]]], [("k", 10_000)]
    ),
    "a hundred entries each way": Call(
        READ,
        [["initial", [(f"i{n}", 1) for n in range(25)]], ["tell"], ["end", 0, "", [(f"t{n}", 1) for n in range(25)]]],
        [(f"k{n}", 1) for n in range(50)],
    ),
    "a hundred entries with one key": Call(READ, [["tell"]], [("k", str(n)) for n in range(100)]),
    "trailers only, with 30 KiB": Call(READ, [["end", 9, "large", [("t", 30_000)]]]),
    "metadata of odd characters": Call(
        READ, [["tell"]], [("k", 'a,b;c="d"'), ("l", "~!@#$%^&*()[]{}|<>?/"), ("m.n_o-p", "x")]
    ),
    # statuses
    **{
        f"status {code} before a message": Call(READ, [["end", code, "m", []]]) for code in (1, 2, 4, 7, 12, 13, 15, 16)
    },
    "a status without a message": Call(READ, [["end", 5, "", []]]),
    "a status with a message beyond ASCII": Call(READ, [["end", 9, "nichts für Übel", [("t", "1")]]]),
    "a status after messages": Call(READ, [["send", 10, 3], ["end", 8, "full", []]]),
    "UNAVAILABLE of the server's": Call(READ, [["end", 14, "not now", []]]),
    # deadlines and cancels
    "a deadline of a millisecond": Call(READ, [["stay"]], deadline=0.001),
    "a deadline of ten hours": Call(READ, [["tell"]], deadline=36_000.0),
    "a deadline before an answer": Call(READ, [["stay"]], deadline=0.3),
    "a deadline in a stream": Call(READ, [["send", 10, 2], ["stay"]], deadline=1.5),
    "a cancel before an answer": Call([["half-close"], ["sleep", 0.1], ["cancel"]], [["stay"]]),
    "a cancel in a stream": Call([["read", 2], ["cancel"]], [["send", 10, 2], ["stay"]]),
    # half-closes
    "answers before the half-close": Call([["send", 10, 1], ["read", 2], *READ], [["read", 1], ["send", 10, 2], *ECHO]),
    "a late half-close": Call([["send", 10, 1], ["sleep", 0.2], *READ], ECHO),
    # flow control
    "a caller that reads late": Call(
        [["half-close"], ["sleep", 0.3], ["read-all"]], [["read-all"], ["send", 2**16, 64]]
    ),
    "a late caller of a server that does not read": Call(
        [["half-close"], ["sleep", 0.3], ["read-all"]], [["send", 2**16, 64]]
    ),
    "a server that reads late": Call([["send", 2**16, 64], *READ], [["sleep", 0.3], *ECHO]),
    # early ends
    "a hundred answers of a server that does not read the half-close": Call(
        [["send", 1000, 100], *READ], [["read", 100], ["send", 1000, 100]]
    ),
    "an early end": Call([["send", 10, 1], ["read-all"]], [["read", 1], ["send", 10, 1], ["end", 0, "", []]]),
    "an early error": Call([["send", 10, 1], ["read-all"]], [["read", 1], ["end", 3, "wrong", []]]),
    "an early end with much to read": Call(
        [["send", 10, 1], ["sleep", 0.3], ["read-all"]], [["read", 1], ["send", 2**15, 30], ["end", 8, "enough", []]]
    ),
}
