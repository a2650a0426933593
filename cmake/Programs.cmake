# SPDX-License-Identifier: Apache-2.0
# tw_program(NAME bin|libexec SOURCES … LIBS …): one role, one program, laid out as it is installed.
# Helper programs are 0711: a program that its user cannot read starts non-dumpable (ptrace, /proc/PID/mem denied).
function(tw_program name kind)
  cmake_parse_arguments(P "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  target_link_libraries(${name} PRIVATE ${P_LIBS})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(kind STREQUAL "bin")
    set(dir bin)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  else()
    set(dir libexec/tw-agent)
    install(TARGETS ${name} RUNTIME DESTINATION libexec/tw-agent
      PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
    add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod 0711 $<TARGET_FILE:${name}>)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/${dir}")
endfunction()

# tw_unit_test(NAME SOURCES … LIBS …): a cmocka program, run by ctest as unit.NAME.
function(tw_unit_test name)
  cmake_parse_arguments(P "" "" "SOURCES;LIBS" ${ARGN})
  if(NOT CMOCKA_FOUND)
    return()
  endif()
  add_executable(unit_${name} ${P_SOURCES})
  target_link_libraries(unit_${name} PRIVATE ${P_LIBS} PkgConfig::CMOCKA)
  set_target_properties(unit_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME unit.${name} COMMAND unit_${name})
endfunction()
