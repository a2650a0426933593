"""The Tower: it listens, answers, keeps the script, the log, the agents and their results."""

import collections
import os
import select
import socket
import ssl
import threading
import time

from .answers import Reply, Script, Upgrade, error
from .connection import Connection
from .conversation import Result
from .events import PATIENCE, EventLog
from .ports import reserve
from .rest import Rest

_BASE = "/api"
_TLS_RANGE = {
    "any": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    "1.2": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
    "1.3": (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
}


class Tower:
    """A Tower server on the loopback addresses.

    Attributes that may be changed at any time: `token` (None accepts any), `api_version`, `user`
    (the body of GET /user), `heartbeat_replies` and `heartbeat_delay` (for conversations to come),
    `hold_dead` (seconds for which a session dropped without a Close still counts as connected),
    `refuse_duplicates`, `receive_buffer` (SO_RCVBUF of connections to come), `routes`, a dict
    from (method, path below /api) to a function of the request giving an answer, `take_result`,
    a function that gets every Result and gives what is kept of it: None for nothing, and `rest`,
    the credentials and workspaces (rest.py).
    """

    def __init__(self, pki, *, token="test-token", port=0, ipv6=False, tls="any", ciphers=None,
                 identity=None, plain=False, keep_events=None, observer=None):
        self.pki = pki
        self.ca = pki.ca if pki is not None else None
        self.port = port
        self.token = token
        self.api_version = "1.198.0"
        self.user = {"user": {"id": 1, "userName": "owner", "email": "owner@example.com"}}
        self.heartbeat_replies = True
        self.heartbeat_delay = 0
        self.hold_dead = 0
        self.refuse_duplicates = True
        self.receive_buffer = None
        self.routes = {}
        self.take_result = None
        self.script = Script()
        self.rest = Rest(self)
        self.events = EventLog(keep_events, observer)
        self._plain = plain
        self._ipv6 = ipv6
        self._ciphers = ciphers
        self._tls = tls
        self._identity = identity
        self._context = None
        self._lock = threading.Lock()
        self._connections = {}
        self._counter = 0
        self._holders = {}
        self._agents = []
        self._results = collections.defaultdict(list)
        self._sent_at = {}
        self._places = []
        self._listeners = []
        self._acceptor = None
        self._wake = None

    # Running.

    def start(self):
        if not self._plain:
            self.configure_tls()
        self.start_listening()
        return self

    def stop(self):
        self.stop_listening()
        with self._lock:
            connections = list(self._connections.values())
        for connection, _ in connections:
            connection.transport.end("rst")
        for _, thread in connections:
            thread.join(5)
        for place in self._places:
            place.close()
        self._places = []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return self.url_for("localhost")

    def url_for(self, host):
        return f"{'http' if self._plain else 'https'}://{host}:{self.port}{_BASE}"

    def configure_tls(self, *, identity=None, tls=None):
        """Shows another certificate, or another range of TLS versions, from now on."""
        self._identity = identity or self._identity or self.pki.server()
        self._tls = tls or self._tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = _TLS_RANGE[self._tls]
        if self._ciphers:
            context.set_ciphers(self._ciphers)
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._identity.cert, self._identity.key)
        context.sni_callback = lambda tls, name, _: setattr(tls, "asked_name", name)
        self._context = context

    def stop_listening(self):
        """Connections are refused from now on; those that are open stay, and so does the port."""
        if self._acceptor is None:
            return
        os.eventfd_write(self._wake, 1)
        self._acceptor.join()
        self._acceptor = None
        for listener in self._listeners:
            listener.close()
        os.close(self._wake)

    def start_listening(self):
        """Listens, on the same port as before."""
        addresses = ["127.0.0.1", "::1"] if self._ipv6 else ["127.0.0.1"]
        if not self._places:
            # They never listen, and keep others off the port while nobody does.
            for address in addresses:
                self._places.append(reserve(address, self.port))
                self.port = self._places[0].getsockname()[1]
        self._listeners = [reserve(address, self.port) for address in addresses]
        for listener in self._listeners:
            listener.listen(128)
            listener.setblocking(False)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._acceptor = threading.Thread(target=self._accept, name="tower accept", daemon=True)
        self._acceptor.start()

    def _accept(self):
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        for listener in self._listeners:
            poller.register(listener, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self._wake in ready:
                return
            for listener in self._listeners:
                if listener.fileno() not in ready:
                    continue
                try:
                    sock, peer = listener.accept()
                except OSError:
                    continue  # gone before it was accepted
                self._begin(sock, peer)

    def _begin(self, sock, peer):
        if self.receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        with self._lock:
            self._counter += 1
            number = self._counter
        connection = Connection(self, number, sock, peer, self._context)
        thread = threading.Thread(target=connection.run, name=f"tower #{number}", daemon=True)
        with self._lock:
            self._connections[number] = (connection, thread)
        thread.start()

    def forget(self, connection):
        """A connection's thread is about to end."""
        with self._lock:
            self._connections.pop(connection.number, None)

    # Answers.

    def on(self, step, answer, times=None):
        """Scripts an answer for "tls", "open", "service-info", "user", "connect", "other" or
        "any" request; see Script.on."""
        self.script.on(step, answer, times)

    def clear(self, step=None):
        self.script.clear(step)

    def step_of(self, request):
        if request.path in (_BASE + "/service-info", _BASE + "/user"):
            return request.path[len(_BASE) + 1:]
        if request.connection_id and request.path.startswith(_BASE + "/agent/"):
            return "connect"
        return "other"

    def default_answer(self, request):
        step = self.step_of(request)
        if step == "service-info":
            return Reply(json={"serviceInfo": {"version": "25.1.0",
                                               "apiVersion": self.api_version,
                                               "commitId": "0000000"}})
        if self.token is not None and request.token != self.token:
            return error(401, "Unauthorized")
        if step == "user":
            return Reply(json=self.user)
        if step == "connect":
            problem = request.upgrade_problem()
            return error(400, problem) if problem else Upgrade()
        path = request.path.removeprefix(_BASE)
        route = self.routes.get((request.method, path))
        answer = route(request) if route else self.rest.answer(request, path)
        return answer or error(404, "Not Found")

    # Agents.

    def admit(self, conversation):
        """Takes the place of this token and connection ID, unless it is held."""
        with self._lock:
            self._agents.append(conversation)
            holder, until = self._holders.get(conversation.key, (None, 0))
            held = holder is not None and (not holder.over(self.hold_dead) if until is None
                                           else time.monotonic() < until)
            if held and self.refuse_duplicates:
                return False
            self._holders[conversation.key] = (conversation, None)
            return True

    def release(self, conversation):
        """A conversation is over; one without a Close may hold its place for a while."""
        conversation.ended = True
        clean = bool(conversation.close_received or conversation.close_sent)
        with self._lock:
            self._agents.remove(conversation)
            if self._holders.get(conversation.key, (None,))[0] is conversation:
                until = time.monotonic() + (0 if clean else self.hold_dead)
                self._holders[conversation.key] = (conversation, until)
        self.events.add("ws-end", conversation.number, clean=clean)

    @property
    def agent(self):
        """The conversation that came online last, or None."""
        return self._online(None, None)

    def _online(self, connection_id, newer_than):
        with self._lock:
            agents = list(self._agents)
        for agent in reversed(agents):
            if (agent.online and (connection_id is None or agent.connection_id == connection_id)
                    and (newer_than is None or agent.number > newer_than.number)):
                return agent
        return None

    def is_online(self, connection_id):
        return self._online(connection_id, None) is not None

    def wait_online(self, timeout=PATIENCE, connection_id=None, newer_than=None):
        """The conversation of an agent that has sent its info; `newer_than` waits for the next
        one after that conversation."""
        return self.events.wait_until(lambda: self._online(connection_id, newer_than), timeout,
                                      "agent online")

    def wait_offline(self, timeout=PATIENCE, connection_id=None):
        self.events.wait_until(lambda: self._online(connection_id, None) is None, timeout,
                               "agent offline")

    # Commands and results. A result may come on a later connection than its command.

    def send_command(self, command, id=None):
        return self._connected().send_command(command, id)

    def run(self, command, id=None, timeout=PATIENCE):
        return self._connected().run(command, id, timeout)

    def results(self, id):
        """Every response with this id so far."""
        with self._lock:
            return list(self._results.get(id, ()))

    def wait_result(self, id, timeout=PATIENCE, count=1):
        """The response number `count` with this id, on whichever connection it comes."""
        return self.events.wait_until(
            lambda: len(self._results.get(id, ())) >= count and self._results[id][count - 1],
            timeout, f"result of {id}")

    def forget_command(self, id):
        """For long runs: keeps nothing of this id and its results."""
        with self._lock:
            self._sent_at.pop(id, None)
            self._results.pop(id, None)

    def note_sent(self, id):
        with self._lock:
            self._sent_at[id] = time.monotonic()

    def add_result(self, message, conversation):
        with self._lock:
            sent_at = self._sent_at.get(message["id"], 0.0)
        result = Result(message, conversation.number, sent_at, conversation.transport.received_at)
        if self.take_result is not None:
            result = self.take_result(result)
        with self._lock:
            if result is not None:
                self._results[result.id].append(result)

    def _connected(self):
        agent = self.agent
        if agent is None:
            raise ConnectionError("no agent is online")
        return agent

    # Events.

    def mark(self):
        return self.events.mark()

    def wait_for(self, predicate, timeout=PATIENCE, after=0):
        return self.events.wait_for(predicate, timeout, after)

    def wait_event(self, kind, timeout=PATIENCE, after=0, **fields):
        """The first event of this kind with these values, from position `after` on."""
        return self.events.wait(kind, timeout, after, **fields)

    def requests(self, step=None, after=0):
        """The HTTP requests so far, as events."""
        fields = {} if step is None else {"step": step}
        return self.events.list("http-request", after, **fields)
