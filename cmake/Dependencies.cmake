# SPDX-License-Identifier: Apache-2.0
find_package(PkgConfig REQUIRED)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent_core>=2.1)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp>=2.5)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.76)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)

# msgpack-c: msgpack-c.pc from 6.0 on, msgpack.pc before.
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c msgpack)

# wslay: Debian ships no .pc.
find_library(WSLAY_LIBRARY wslay REQUIRED)
find_path(WSLAY_INCLUDE_DIR wslay/wslay.h REQUIRED)
add_library(wslay_system INTERFACE)
target_link_libraries(wslay_system INTERFACE "${WSLAY_LIBRARY}")
target_include_directories(wslay_system SYSTEM INTERFACE "${WSLAY_INCLUDE_DIR}")

# llhttp: the system library where packaged, else the sources that Debian 12's node-llhttp ships.
find_library(LLHTTP_LIBRARY llhttp)
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATH_SUFFIXES llhttp PATHS /usr/include /usr/share/include)
if(LLHTTP_LIBRARY AND LLHTTP_INCLUDE_DIR)
  add_library(llhttp_system INTERFACE)
  target_link_libraries(llhttp_system INTERFACE "${LLHTTP_LIBRARY}")
elseif(EXISTS /usr/share/llhttp/llhttp.c AND LLHTTP_INCLUDE_DIR)
  # No INTERFACE sources: our warnings must not apply to them.
  add_library(llhttp_system STATIC /usr/share/llhttp/api.c /usr/share/llhttp/http.c /usr/share/llhttp/llhttp.c)
  target_compile_options(llhttp_system PRIVATE -w)
else()
  message(FATAL_ERROR "llhttp is missing: install libllhttp-dev, or node-llhttp on Debian 12")
endif()
target_include_directories(llhttp_system SYSTEM INTERFACE "${LLHTTP_INCLUDE_DIR}")
if(TARGET llhttp_system AND EXISTS /usr/share/llhttp/llhttp.c AND NOT LLHTTP_LIBRARY)
  target_include_directories(llhttp_system SYSTEM PRIVATE "${LLHTTP_INCLUDE_DIR}")
endif()
