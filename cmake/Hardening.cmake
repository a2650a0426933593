# SPDX-License-Identifier: Apache-2.0
# The OpenSSF "Compiler Options Hardening Guide for C and C++" set; tests/integration/test_hardening.py reads the result.
add_compile_options(-fno-strict-aliasing -fno-strict-overflow -fno-delete-null-pointer-checks)
if(TW_HARDEN)
  # Two builds of one commit are the same wherever they are made: no path of the builder's in them.
  add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." "-ffile-prefix-map=${CMAKE_BINARY_DIR}=./build")
  add_compile_options(
    -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
    -ftrivial-auto-var-init=zero)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    add_compile_options(-fcf-protection=full)
    add_link_options(-Wl,-z,ibt,-z,shstk)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
    add_compile_options(-mbranch-protection=standard)
  endif()
  add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed -Wl,--no-copy-dt-needed-entries)
endif()
include(CheckPIESupported)
check_pie_supported()
if(TW_SANITIZE)
  add_compile_options(-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(TW_SANITIZE=1)
endif()
if(TW_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
