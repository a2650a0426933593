# SPDX-License-Identifier: Apache-2.0
"""When these tests can run, and how they say that they cannot."""

import os
import shutil
import sys
import unittest

from scanner import BUILD, SCANNER
from support import build_has

SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def why_no_scan():
    """Why nothing can be scanned here; None when it can."""
    if os.geteuid() != 0:
        return "scanning other processes' memory needs root"
    if not build_has("TW_HARDEN"):
        return "the scan is for the hardened build: a sanitizer's shadow memory keeps copies"
    if not os.path.exists(SCANNER):
        return f"{SCANNER} is not built"
    return None


class TokenCase(unittest.TestCase):
    """A test that scans processes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if reason := why_no_scan():
            raise unittest.SkipTest(reason)


def need_program(test, name):
    if shutil.which(name) is None:
        test.skipTest(f"{name} is not installed")


def main():
    """Runs the calling file; code 77 when everything was skipped."""
    result = unittest.main(module="__main__", verbosity=2, exit=False).result
    reasons = sorted({reason for _, reason in result.skipped})
    for reason in reasons:
        print(f"SKIPPED: {os.path.basename(BUILD)}: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    # A class that is skipped counts as skipped, but none of its tests counts as run.
    skipped = sum(isinstance(test, unittest.TestCase) for test, _ in result.skipped)
    sys.exit(SKIPPED if reasons and result.testsRun == skipped else 0)
