#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the build made: the same bytes wherever and whenever it runs, for the C library of the oldest system it is for, and
a bill of materials that is true."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import packages
import harness
from harness import BUILD
from packages import ROOT
from support import build_options

# RHEL 9 and Ubuntu 22.04 have glibc 2.34 and 2.35.
GLIBC = (2, 34)
PROGRAMS = [f"libexec/tw-agent/tw-agent-{name}" for name in
            ("core", "exec", "net", "net-connect", "net-session", "probe")] + ["bin/tw-agent", "bin/tw-agentctl"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def contents(path):
    """Name → type, mode and digest of everything in a tar.gz."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            data = archive.extractfile(member).read() if member.isfile() else member.linkname.encode()
            found[member.name] = (member.type, oct(member.mode), member.mtime, hashlib.sha256(data).hexdigest())
    return found


class Reproducible(unittest.TestCase):
    """Packages of the build under test, and of another one: other directories, umask, locale, time zone, user's
    variables, number of jobs, and a later time."""

    def package(self, source, build, place, **environment):
        done = subprocess.run(["scripts/package", "--build", build, "tar", *self.kinds], cwd=source, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "TW_PACKAGES": place, "SOURCE_DATE_EPOCH": "1700000000", "TW_COMMIT": COMMIT,
                                   **environment})
        self.assertEqual(done.returncode, 0, done.stdout)

    def copy_source(self, to):
        names = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT,
                               stdout=subprocess.PIPE, check=True, text=True).stdout.split("\0")[:-1]
        for name in names:
            if os.path.isfile(ROOT / name) and not name.startswith(("tests/", "bench/")):
                os.makedirs(os.path.dirname(os.path.join(to, name)), exist_ok=True)
                shutil.copy(ROOT / name, os.path.join(to, name))

    def build(self, source, build):
        cache = build_options()
        command = ["cmake", "-S", source, "-B", build, "-G", "Ninja", "-DTW_TESTS=OFF"]
        command += [f"-D{name}={cache[name]}" for name in ("CMAKE_BUILD_TYPE", "TW_HARDEN", "CMAKE_C_COMPILER")]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "Pacific/Chatham", "HOME": source,
                       "SOURCE_DATE_EPOCH": cache["TW_DATE"]}  # there is no commit, whose date it would be
        for step in (command, ["cmake", "--build", build, "-j2"]):
            done = subprocess.run(step, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, umask=0o077,
                                  env=environment)
            self.assertEqual(done.returncode, 0, done.stdout[-3000:])

    def test_two_builds_are_identical(self):
        self.kinds = ["deb"] if shutil.which("dpkg-shlibdeps") else []
        with tempfile.TemporaryDirectory(prefix="tw-again-", dir="/tmp") as place:
            source, build = os.path.join(place, "a source", "tree"), os.path.join(place, "elsewhere")
            self.copy_source(source)
            self.build(source, build)
            self.package(str(ROOT), BUILD, os.path.join(place, "one"), LC_ALL="C", TZ="UTC")
            self.package(source, build, os.path.join(place, "two"), LC_ALL="C.UTF-8", TZ="Pacific/Chatham")
            self.compare(os.path.join(place, "one"), os.path.join(place, "two"))

    def compare(self, one, two):
        names = sorted(os.listdir(one))
        self.assertEqual(names, sorted(os.listdir(two)))
        self.assertEqual(len(names), 1 + len(self.kinds))
        for name in names:
            with self.subTest(name):
                if name.endswith(".tar.gz"):  # which file it is, before that one is
                    self.assertEqual(contents(os.path.join(one, name)), contents(os.path.join(two, name)))
                digests = [hashlib.sha256(Path(place, name).read_bytes()).hexdigest() for place in (one, two)]
                self.assertEqual(*digests)
                print(f"{name}: {digests[0]} twice")


class Linked(unittest.TestCase):
    def test_glibc(self):
        """No symbol of a C library that RHEL 9 does not have."""
        if not shutil.which("objdump"):
            self.skipTest("objdump is not installed (package binutils)")
        needed = {}
        for name in PROGRAMS:
            table = subprocess.run(["objdump", "-T", os.path.join(BUILD, name)], stdout=subprocess.PIPE, text=True, check=True).stdout
            for major, minor, symbol in re.findall(r"\(?GLIBC_(\d+)\.(\d+)[\d.]*\)?\s+(\S+)$", table, re.M):
                needed.setdefault((int(major), int(minor)), set()).add(f"{symbol} ({os.path.basename(name)})")
        highest = max(needed)
        print(f"highest required GLIBC symbol version: {highest[0]}.{highest[1]} ({len(needed[highest])} symbols)")
        self.assertLessEqual(highest, GLIBC, sorted(needed[highest]))

    def test_no_path_of_the_builder(self):
        folders = [f"{ROOT}/{name}".encode() for name in os.listdir(ROOT)]  # /src alone may stand in any text
        with tarfile.open(packages.package("*.tar.gz")) as archive:
            for member in archive:
                data = archive.extractfile(member).read() if member.isfile() else b""
                self.assertEqual([folder for folder in folders if folder in data], [], member.name)


class Sbom(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.mkdtemp(prefix="tw-sbom-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.place)
        with tarfile.open(packages.package("*.tar.gz")) as archive:
            archive.extractall(cls.place, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(cls.place)
        (top,) = os.listdir(cls.place)
        cls.prefix = os.path.join(cls.place, top)
        with open(os.path.join(cls.prefix, "share/tw-agent/tw-agent.spdx.json"), encoding="utf-8") as file:
            cls.document = json.load(file)

    def test_structure(self):
        """The fields that SPDX 2.3 demands, and no reference that leads nowhere."""
        document = self.document
        self.assertEqual((document["spdxVersion"], document["dataLicense"], document["SPDXID"]),
                         ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
        self.assertRegex(document["creationInfo"]["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(document["creationInfo"]["creators"][0], r"^Tool: ")
        self.assertRegex(document["documentNamespace"], r"^https://[^#]+$")
        known = ["SPDXRef-DOCUMENT"]
        for package in document["packages"]:
            known.append(package["SPDXID"])
            self.assertLessEqual({"name", "downloadLocation", "filesAnalyzed", "licenseConcluded", "licenseDeclared",
                                  "copyrightText", "versionInfo"}, set(package), package["name"])
        for file in document["files"]:
            known.append(file["SPDXID"])
            self.assertRegex(file["fileName"], r"^\./")
            self.assertLessEqual({"SHA1", "SHA256"}, {sum["algorithm"] for sum in file["checksums"]})
        self.assertEqual(len(known), len(set(known)))
        for name in known:
            self.assertRegex(name, r"^SPDXRef-[A-Za-z0-9.-]+$")
        for relation in document["relationships"]:
            self.assertIn(relation["spdxElementId"], known)
            self.assertIn(relation["relatedSpdxElement"], known)
        described = [relation["relatedSpdxElement"] for relation in document["relationships"]
                     if relation["relationshipType"] == "DESCRIBES"]
        self.assertEqual(described, ["SPDXRef-Package-tw-agent"])

    def test_programs(self):
        """Each program with the checksum that it has."""
        found = {file["fileName"].removeprefix("./"): {sum["algorithm"]: sum["checksumValue"] for sum in file["checksums"]}
                 for file in self.document["files"]}
        self.assertEqual(set(found), set(PROGRAMS))
        for name, sums in found.items():
            with open(os.path.join(self.prefix, name), "rb") as file:
                self.assertEqual(sums["SHA256"], hashlib.sha256(file.read()).hexdigest(), name)
        own = self.document["packages"][0]
        joined = "".join(sorted(sums["SHA1"] for sums in found.values()))
        self.assertEqual(own["packageVerificationCode"]["packageVerificationCodeValue"],
                         hashlib.sha1(joined.encode()).hexdigest())

    def test_libraries(self):
        """What the session is linked with, by package and version of this system."""
        by_id = {package["SPDXID"]: package for package in self.document["packages"]}
        linked = {by_id[relation["relatedSpdxElement"]]["comment"]: by_id[relation["relatedSpdxElement"]]
                  for relation in self.document["relationships"] if relation["relationshipType"] in ("DYNAMIC_LINK", "STATIC_LINK")}
        for project in ("openssl", "libevent", "msgpack-c", "wslay", "jansson", "curl", "llhttp", "glibc"):
            package = linked[f"project {project}"]
            self.assertNotIn("NOASSERTION", (package["licenseDeclared"], package["versionInfo"]))
            self.assertRegex(package["externalRefs"][0]["referenceLocator"], r"^pkg:(deb|rpm)/\w+/[a-z0-9.+%-]+@")
        if shutil.which("dpkg-query"):
            version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libssl3"], stdout=subprocess.PIPE, text=True,
                                     check=True).stdout
            self.assertEqual(linked["project openssl"]["versionInfo"], version)


if __name__ == "__main__":
    harness.main()
