# SPDX-License-Identifier: Apache-2.0
"""A file system in user space with one file, which can hang: a stand-in for a dead file server.

Speaks the protocol of /dev/fuse itself (linux/fuse.h), and mounts in a mount namespace of its own,
so that nothing stays mounted however the test ends. Needs root."""

import contextlib
import ctypes
import errno
import os
import select
import struct
import threading

_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 0x4000, 0x40000, 2, 4
_MNT_DETACH = 2
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _STATFS, _RELEASE = 1, 2, 3, 14, 15, 17, 18
_FLUSH, _INIT, _OPENDIR, _READDIR, _RELEASEDIR, _INTERRUPT, _DESTROY = 25, 26, 27, 28, 29, 36, 38
_BATCH_FORGET = 42
_ROOT, _FILE = 1, 2
_IN_HEADER = struct.Struct("<IIQQIIIHH")
_OUT_HEADER = struct.Struct("<IiQ")
_DIRECTORY_MODE, _FILE_MODE = 0o040755, 0o100644

_libc = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why there can be no such file system here; None when there can."""
    if os.geteuid() != 0:
        return "mounting needs root"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as reason:
        return f"/dev/fuse: {reason.strerror}"
    return None


def own_mounts():
    """A mount namespace for this process and all it starts: mounts end with them. To be called
    before there are threads."""
    _check(_libc.unshare(_CLONE_NEWNS))
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))


def _check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class FileSystem:
    """Mounted at `path`: a directory of `uid`, with the file "file"."""

    CONTENT = b"from the file server\n"

    def __init__(self, path, uid, gid):
        self.path = path
        self._owner = uid, gid
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._changed = threading.Condition()
        self._reads = self._answers = True
        self._unanswered = []
        self._ended = False
        options = (f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other,"
                   "default_permissions")
        _check(_libc.mount(b"tw-hangs", path.encode(), b"fuse", _MS_NOSUID | _MS_NODEV,
                           options.encode()))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hang(self, reading):
        """From now on nothing is answered. reading=False: nor read, as when the server's process
        is stopped; who asks can be killed. reading=True: who asks cannot even be killed."""
        with self._changed:
            self._answers, self._reads = False, reading
            os.eventfd_write(self._wake, 1)

    def wait_asked(self, timeout):
        """Waits until a request hangs; for hang(reading=True)."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._unanswered, timeout):
                raise AssertionError("nobody asked the file system for anything")

    def resume(self):
        """Answers again, and everything that waits."""
        with self._changed:
            self._answers = self._reads = True
            for request in self._unanswered:
                self._handle(request)
            self._unanswered.clear()
            os.eventfd_write(self._wake, 1)

    def close(self):
        with self._changed:
            self._ended = True
            os.eventfd_write(self._wake, 1)
        self._thread.join()
        _libc.umount2(self.path.encode(), _MNT_DETACH)
        os.close(self._device)  # whatever waits gets an error
        os.close(self._wake)

    def _serve(self):
        while not self._ended:
            poller = select.poll()
            poller.register(self._wake, select.POLLIN)
            if self._reads:
                poller.register(self._device, select.POLLIN)
            ready = {fd for fd, _ in poller.poll()}
            if self._wake in ready:
                os.eventfd_read(self._wake)
            elif self._reads:
                with contextlib.suppress(FileNotFoundError, InterruptedError):
                    self._take(os.read(self._device, 1 << 20))

    def _take(self, request):
        with self._changed:
            if self._answers:
                self._handle(request)
            else:
                self._unanswered.append(request)
                self._changed.notify_all()

    def _handle(self, request):
        _, opcode, unique, node, *_ = _IN_HEADER.unpack_from(request)
        if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT, _DESTROY):
            return
        error, body = self._answer(opcode, node, request[_IN_HEADER.size:])
        reply = _OUT_HEADER.pack(_OUT_HEADER.size + len(body), -error, unique) + body
        with contextlib.suppress(FileNotFoundError):  # whoever asked has been killed
            os.write(self._device, reply)

    def _answer(self, opcode, node, body):
        if opcode == _INIT:
            readahead = struct.unpack_from("<III", body)[2]
            return 0, struct.pack("<IIIIHHIIHHI28x", 7, 31, readahead, 0, 16, 12, 65536, 1, 1, 0, 0)
        if opcode == _GETATTR:
            return 0, struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if opcode == _LOOKUP:
            if node != _ROOT or body.rstrip(b"\0") != b"file":
                return errno.ENOENT, b""
            return 0, struct.pack("<QQQQII", _FILE, 0, 0, 0, 0, 0) + self._attributes(_FILE)
        if opcode in (_OPEN, _OPENDIR):
            return 0, struct.pack("<QII", 0, 1, 0)  # FOPEN_DIRECT_IO: each read asks us
        if opcode == _READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return 0, self.CONTENT[offset:offset + size]
        if opcode == _STATFS:
            return 0, struct.pack("<QQQQQIIII24x", 1, 1, 1, 2, 0, 4096, 255, 4096, 0)
        if opcode in (_READDIR, _RELEASE, _RELEASEDIR, _FLUSH):
            return 0, b""
        return errno.ENOSYS, b""

    def _attributes(self, node):
        mode, size = ((_DIRECTORY_MODE, 0) if node == _ROOT else (_FILE_MODE, len(self.CONTENT)))
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, 1, 0, 0, 0, 0, 0, 0, mode,
                           2 if node == _ROOT else 1, *self._owner, 0, 4096, 0)
