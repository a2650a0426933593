"""Throw-away certificates, made with the openssl command line."""

import hashlib
import os
import subprocess
from typing import NamedTuple

# `openssl ca` is used because it alone sets both validity dates with every OpenSSL 3.x.
_CA_CONFIG = """\
[ca]
default_ca = issuer
[issuer]
database = {name}.index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""

# Long before and long after any test: a clock that is set back must not make one invalid.
_START, _END = "20200101000000Z", "20490101000000Z"

_KEYS = {
    "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-newkey", "rsa:2048"],
}


class Identity(NamedTuple):
    """A certificate and its key, as file names."""

    cert: str
    key: str


class Pki:
    """A certificate authority in a directory; certificates are made when first asked for."""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        os.makedirs(self.directory, exist_ok=True)
        self._made = {}
        self.ca = self._authority("ca").cert

    def server(self):
        """The certificate a healthy server shows."""
        return self.make("server")

    def rsa(self):
        return self.make("rsa", key="rsa")

    def expired(self):
        return self.make("expired", start="20200101000000Z", end="20200201000000Z")

    def not_yet_valid(self):
        return self.make("future", start="20480101000000Z", end="20490101000000Z")

    def other_host(self):
        return self.make("other-host", names=("DNS:elsewhere.example", "IP:192.0.2.1"))

    def other_ca(self):
        """Right in all but its issuer, which no client trusts."""
        self._authority("other-authority")
        return self.make("other-ca", issuer="other-authority")

    def make(self, name, *, names=("DNS:localhost", "IP:127.0.0.1", "IP:::1"), key="ec",
             start=_START, end=_END, issuer="ca"):
        """Issues a server certificate; the same name gives the same certificate again."""
        if name in self._made:
            return self._made[name]
        self._openssl("req", "-new", *_KEYS[key], "-nodes", "-keyout", f"{name}.key",
                      "-out", f"{name}.csr", "-subj", f"/CN={names[0].partition(':')[2]}",
                      "-addext", "subjectAltName=" + ",".join(names),
                      "-addext", "basicConstraints=critical,CA:FALSE",
                      "-addext", "extendedKeyUsage=serverAuth")
        self._openssl("ca", "-batch", "-notext", "-config", f"{issuer}.cnf",
                      "-cert", f"{issuer}.pem", "-keyfile", f"{issuer}.key", "-in", f"{name}.csr",
                      "-out", f"{name}.pem", "-startdate", start, "-enddate", end)
        return self._remember(name)

    def spki_sha256(self, identity):
        """The hexadecimal SHA-256 of the public key, as pinning wants it."""
        pem = self._openssl("x509", "-in", identity.cert, "-noout", "-pubkey")
        der = self._openssl("pkey", "-pubin", "-outform", "DER", stdin=pem)
        return hashlib.sha256(der).hexdigest()

    def _authority(self, name):
        if name in self._made:
            return self._made[name]
        with open(self._path(f"{name}.cnf"), "w", encoding="ascii") as config:
            config.write(_CA_CONFIG.format(name=name))
        with open(self._path(f"{name}.index"), "w", encoding="ascii"):
            pass
        self._openssl("req", "-new", *_KEYS["ec"], "-nodes", "-keyout", f"{name}.key",
                      "-out", f"{name}.csr", "-subj", f"/CN=Test {name}",
                      "-addext", "subjectKeyIdentifier=hash",
                      "-addext", "basicConstraints=critical,CA:TRUE",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("ca", "-batch", "-notext", "-selfsign", "-config", f"{name}.cnf",
                      "-keyfile", f"{name}.key", "-in", f"{name}.csr", "-out", f"{name}.pem",
                      "-startdate", _START, "-enddate", _END)
        return self._remember(name)

    def _remember(self, name):
        self._made[name] = Identity(self._path(f"{name}.pem"), self._path(f"{name}.key"))
        os.chmod(self._made[name].cert, 0o644)
        return self._made[name]

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _openssl(self, *arguments, stdin=None):
        # A site's OPENSSL_CONF must not change what the tests see.
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.directory}
        done = subprocess.run(["openssl", *arguments], cwd=self.directory, env=env, input=stdin,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout
