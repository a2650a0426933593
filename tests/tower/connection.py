"""One connection's thread: TLS handshake, HTTP requests, and the hand-over to a conversation."""

import ssl

from .answers import Delay, Drip, Drop, Raw, Reply, Stall, Upgrade
from .conversation import Conversation
from .httpmsg import BadRequest, RequestReader
from .transport import Ended, Transport


class _Finish(Exception):
    """The connection is to be closed in the way `how`."""

    def __init__(self, how):
        super().__init__(how)
        self.how = how


class Connection:
    """Plays the script's answers, or else the Tower's own, on one accepted socket."""

    def __init__(self, tower, number, sock, peer, context):
        self.tower = tower
        self.number = number
        self.transport = Transport(sock, context)
        self.log("tcp-accept", peer=peer)

    def log(self, kind, **data):
        return self.tower.events.add(kind, self.number, **data)

    def run(self):
        how = "fin"
        try:
            self._handshake()
            self._play(self.tower.script.take("open"))
            requests = RequestReader(self.transport.recv)
            while (request := requests.next()) is not None:
                self._serve(request, requests)
            self._log_eof()
            how = "tls"
        except _Finish as finish:
            how = finish.how
        except Ended:
            pass
        except BadRequest as reason:
            self.log("bad-request", reason=str(reason), received=requests.rest)
        except ssl.SSLError as reason:
            self.log("tls-error", reason=reason.reason or str(reason))
        except ConnectionError as reason:
            self.log("tcp-reset", reason=str(reason))
        finally:
            how, peer_closed = self.transport.finish(how)
            self.log("tcp-closed", how=how, peer_closed=peer_closed)
            self.tower.forget(self)

    def _handshake(self):
        drip = None
        answer = self.tower.script.take("tls")
        if isinstance(answer, Drip):
            drip = answer.interval
        elif isinstance(answer, Raw):
            self.transport.sleep(answer.delay)
            for block in answer.blocks():
                self.transport.send_tcp(block)
            self._follow("fin" if answer.then == "tls" else answer.then)
        else:
            self._play(answer)
        try:
            self.transport.handshake(drip)
        except ssl.SSLError as reason:
            self.log("tls-failed", reason=reason.reason or str(reason))
            raise _Finish("fin") from None
        except ConnectionResetError:
            self.log("tls-failed", reason="reset")
            raise
        self.log("tls-ok", **self.transport.tls_facts())

    def _serve(self, request, requests):
        step = self.tower.step_of(request)
        self.log("http-request", step=step, method=request.method, path=request.target,
                 headers=request.headers, head=request.head, body=request.body,
                 token=request.token, connection_id=request.connection_id)
        answer = self.tower.script.take(step, request) or self.tower.script.take("any", request)
        if isinstance(answer, Delay):
            self.transport.sleep(answer.seconds)
            answer = None
        self._play(answer or self.tower.default_answer(request), request, requests)
        if request.header("Connection", "").lower() == "close":
            raise _Finish("tls")

    def _play(self, answer, request=None, requests=None):
        """Does what the answer says; returns if the connection is to go on."""
        if isinstance(answer, Delay):
            self.transport.sleep(answer.seconds)
        elif isinstance(answer, Drop):
            raise _Finish(answer.how)
        elif isinstance(answer, Stall):
            self._follow("stall")
        elif isinstance(answer, (Reply, Raw)):
            self._send(answer, answer.blocks())
            self.log("http-reply", status=getattr(answer, "status", None))
            self._follow(answer.then)
        elif isinstance(answer, Upgrade):
            self._upgrade(answer, request, requests)
        elif answer is not None:
            raise TypeError(f"{answer!r} is no answer for this step")

    def _upgrade(self, answer, request, requests):
        if not answer.converse:
            self._send(answer, answer.blocks(request.accept))
            self.log("http-reply", status=answer.status)
            self._follow(answer.then)
            return
        conversation = Conversation(self, request)
        # Known to the Tower before the client can see the reply: no test can come too early.
        admitted = self.tower.admit(conversation)
        try:
            self._send(answer, answer.blocks(request.accept))
            self.log("http-reply", status=answer.status)
            conversation.serve(requests.rest, admitted)
        finally:
            self.tower.release(conversation)
        if conversation.close_received is None:
            self._log_eof()
        raise _Finish("tls")

    def _send(self, answer, blocks):
        self.transport.sleep(answer.delay)
        for block in blocks:
            if answer.drip is None:
                self.transport.send(block)
            else:
                self.transport.send_slowly(block, answer.drip)

    def _follow(self, then):
        if then == "stall":
            self.transport.swallow()
            self._log_eof()
            raise _Finish("fin")
        if then != "keep":
            raise _Finish(then)

    def _log_eof(self):
        self.log("tcp-eof", close_notify=self.transport.peer_closed_tls)
