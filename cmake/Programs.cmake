# SPDX-License-Identifier: Apache-2.0
# tw_program(NAME bin|libexec SOURCES … LIBS …): one role, one program, laid out as it is installed.
# Programs are 0711: one that its user cannot read starts non-dumpable. From its first instruction on no other program of
# that user sees its environment or memory, or takes the token out of the pipe of --token-fd.
function(tw_program name kind)
  cmake_parse_arguments(P "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  target_link_libraries(${name} PRIVATE ${P_LIBS})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(kind STREQUAL "bin")
    set(dir bin)
    set(destination ${CMAKE_INSTALL_BINDIR})
  else()
    set(dir libexec/tw-agent)
    set(destination libexec/tw-agent)
  endif()
  install(TARGETS ${name} RUNTIME DESTINATION ${destination}
    PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
  add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod 0711 $<TARGET_FILE:${name}>)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/${dir}")
endfunction()

# tw_unit_test(NAME SOURCES … LIBS …): a cmocka program, run by ctest as unit.NAME.
function(tw_unit_test name)
  cmake_parse_arguments(P "" "" "SOURCES;LIBS" ${ARGN})
  if(NOT CMOCKA_FOUND OR NOT TW_TESTS)
    return()
  endif()
  add_executable(unit_${name} ${P_SOURCES})
  target_link_libraries(unit_${name} PRIVATE ${P_LIBS} PkgConfig::CMOCKA)
  set_target_properties(unit_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME unit.${name} COMMAND unit_${name})
endfunction()
