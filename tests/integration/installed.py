# SPDX-License-Identifier: Apache-2.0
"""Where the programs under test are run from."""

import atexit
import os
import shutil
import tempfile


def _changeable_by_others(path):
    """Whether somebody beside root owns, or could change, this directory or one above it."""
    while True:
        status = os.stat(path)
        sticky = status.st_uid == 0 and status.st_mode & 0o1000
        if status.st_uid != 0 or (status.st_mode & 0o022 and not sticky):
            return True
        if path == "/":
            return False
        path = os.path.dirname(path)


def installed(build):
    """Where the programs are run from. As root the agent refuses programs that others could
    change, such as those of a user's own checkout: then a copy that is root's."""
    if (os.geteuid() != 0 or not os.path.isdir(build) or
            not _changeable_by_others(os.path.realpath(build))):
        return build
    directory = tempfile.mkdtemp(prefix="tw-installed-", dir="/tmp")
    atexit.register(shutil.rmtree, directory, True)
    os.chmod(directory, 0o755)
    for part in ("bin", "libexec"):
        shutil.copytree(os.path.join(build, part), os.path.join(directory, part))
    return directory
