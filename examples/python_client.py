#!/usr/bin/env python3
"""Speaks to a running kakehi from another language: adds a backend to a cluster, and watches what happens.

    python3 examples/python_client.py SOCKET CLUSTER ADDRESS [--weight N] [--events N]

For example, beside `kakehi start -c kakehi.yaml`:

    python3 examples/python_client.py /run/kakehi.sock app 10.0.0.3:80 --weight 2

Nothing but the standard library is used. The control socket is a unix stream socket that carries one JSON object a line,
both ways. A request has an `id` of your choice and a `verb`; every answer to it carries the same `id` and a `status`:
any number of "progress", then one "ok" or one "error". Requests may overlap, as here: the subscription stays under way
while other requests are made. `kakehi schema --protocol` prints all of it as a JSON Schema.

Prints a JSON object a line. Exits with 0 when --events many events were seen (without it, at the end of the proxy), with
1 when the proxy refuses, with 3 when it cannot be reached.
"""

import argparse
import json
import socket
import sys
from collections import deque


class Refused(Exception):
    """The proxy does not do what was asked. `answer` has its code, its reason, and what is wrong with which object."""

    def __init__(self, answer):
        super().__init__(answer["reason"])
        self.answer = answer


class Control:
    """One connection to the control socket."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="\n")
        self._last_id = 0
        self._events = deque()
        self._subscription = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lines.close()
        self._socket.close()

    def ask(self, verb, **fields):
        """Makes a request and waits for its answer; events that come in between are kept for `events`."""
        request = self._send(verb, fields)
        while True:
            answer = self._receive()
            if answer["id"] == request and answer["status"] == "ok":
                return answer
            # An error without an id is about the connection as a whole.
            if answer["id"] in (request, None) and answer["status"] == "error":
                raise Refused(answer)

    def subscribe(self, names):
        """Asks for events. There is no answer but the events themselves, until the proxy ends."""
        self._subscription = self._send("subscribe", {"events": names})

    def events(self):
        """What has happened since `subscribe`, and goes on to happen."""
        while True:
            while self._events:
                yield self._events.popleft()
            try:
                answer = self._receive()
            except ConnectionError:
                return
            if answer["id"] != self._subscription:
                continue
            if answer["status"] == "ok":
                return
            if answer["status"] == "error":
                raise Refused(answer)

    def _send(self, verb, fields):
        self._last_id += 1
        line = json.dumps({"id": self._last_id, "verb": verb, **fields})
        self._socket.sendall(line.encode("utf-8") + b"\n")
        return self._last_id

    def _receive(self):
        line = self._lines.readline()
        if not line.endswith("\n"):
            raise ConnectionError("the proxy closed the connection")
        answer = json.loads(line)
        if answer["id"] == self._subscription and answer["status"] == "progress":
            self._events.append(answer["event"])
        return answer


def say(**what):
    print(json.dumps(what), flush=True)


def add_backend(control, cluster, address, weight):
    """Adds the backend to the state as it is now: if somebody else changes it in between, nothing is done."""
    order = {"order": "add", "object": "backend", "cluster": cluster, "name": address, "value": {"weight": weight}}
    plan = control.ask("plan", orders=[order])
    say(planned=plan["differences"])
    done = control.ask("apply", orders=[order], if_revision=plan["revision"], why="added by python_client.py")
    say(applied=done["revision"], took_ms=done["took_ms"])


def main():
    parser = argparse.ArgumentParser(description="Add a backend to a cluster of a running kakehi, and watch events.")
    parser.add_argument("socket")
    parser.add_argument("cluster")
    parser.add_argument("address")
    parser.add_argument("--weight", type=int, default=1)
    parser.add_argument("--events", type=int, default=None, help="how many to watch")
    options = parser.parse_args()
    try:
        with Control(options.socket) as control:
            # First, so that the change made below is seen, too.
            control.subscribe(["state.changed", "backend.up", "backend.down", "backend.drained"])
            add_backend(control, options.cluster, options.address, options.weight)
            for seen, event in enumerate(control.events(), start=1):
                say(event=event)
                if seen == options.events:
                    break
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cannot reach the proxy at {options.socket}: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
