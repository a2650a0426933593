# SPDX-License-Identifier: Apache-2.0
add_compile_definitions(_GNU_SOURCE)
add_compile_options(
  -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wcast-align -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wwrite-strings -Wundef -Wformat=2 -Wformat-security -Werror=format-security -Wvla
  -Wimplicit-fallthrough -Wnull-dereference -Wconversion -Wno-sign-conversion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wlogical-op -Wduplicated-cond -Wtrampolines -Wno-error=null-dereference)
endif()
include_directories("${CMAKE_SOURCE_DIR}")
