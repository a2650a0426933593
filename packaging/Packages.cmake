# SPDX-License-Identifier: Apache-2.0
# cpack -G DEB; scripts/package calls it with what makes two runs identical.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tw-agent)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "hardened agent that runs the commands of Seqera Platform on a login node")
set(CPACK_PACKAGE_DESCRIPTION "It opens one outbound TLS connection to Tower, runs the shell commands
that Tower sends (sbatch, squeue, ...) and returns their output. The owner's
access token, the network, the broker and the commands live in processes of
their own, each under a seccomp filter and in a Landlock domain, so that no
member of a workspace reads the token or another member's commands.")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# Debian's own files are no part of what cmake --install installs.
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_CURRENT_SOURCE_DIR}/deb/install.cmake")

file(STRINGS deb/changelog first LIMIT_COUNT 1)
if(NOT first MATCHES "^tw-agent \\(${PROJECT_VERSION}-([0-9]+)\\)")
  message(FATAL_ERROR "packaging/deb/changelog does not begin with version ${PROJECT_VERSION}")
endif()
set(CPACK_DEBIAN_PACKAGE_RELEASE "${CMAKE_MATCH_1}")
file(STRINGS deb/changelog who REGEX "^ -- " LIMIT_COUNT 1)
string(REGEX REPLACE "^ -- (.*>)  .*" "\\1" CPACK_DEBIAN_PACKAGE_MAINTAINER "${who}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS systemd)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA)
foreach(script postinst prerm postrm)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_SOURCE_DIR}/deb/${script}")
endforeach()
if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/tw-agent.conf.example")
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_SOURCE_DIR}/deb/conffiles")
endif()
include(CPack)
