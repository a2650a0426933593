# SPDX-License-Identifier: Apache-2.0
# attack_tree(NAME DIRECTORY PROGRAM SOURCES … [DEFINITIONS …] [WRAP …]): the agent's programs once more, laid out as they
# are installed, with one of them replaced by its own objects and these sources. WRAP names functions that the sources
# come before (ld's --wrap). Nothing when a program of the agent is not built.
set(attack_programs tw-agent tw-agent-core tw-agent-exec tw-agent-net tw-agent-net-connect tw-agent-net-session
  tw-agent-probe)
function(attack_tree name directory replaced)
  cmake_parse_arguments(P "" "" "SOURCES;DEFINITIONS;WRAP" ${ARGN})
  foreach(program ${attack_programs})
    if(NOT TARGET ${program})
      return()
    endif()
  endforeach()
  set(tree "${CMAKE_BINARY_DIR}/tests/${directory}")
  add_executable(${name} ${P_SOURCES} $<TARGET_OBJECTS:${replaced}>)
  get_target_property(libraries ${replaced} LINK_LIBRARIES)
  target_link_libraries(${name} PRIVATE ${libraries})
  target_compile_definitions(${name} PRIVATE ${P_DEFINITIONS})
  foreach(function ${P_WRAP})
    target_link_options(${name} PRIVATE "-Wl,--wrap=${function}")
  endforeach()
  set_target_properties(${name} PROPERTIES OUTPUT_NAME ${replaced} RUNTIME_OUTPUT_DIRECTORY "${tree}/libexec/tw-agent")
  add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod 0711 "${tree}/libexec/tw-agent/${replaced}")
  set(copies)
  foreach(program ${attack_programs})
    set(place libexec/tw-agent)
    if(program STREQUAL tw-agent)
      set(place bin)
    endif()
    if(NOT program STREQUAL replaced)
      add_custom_command(OUTPUT "${tree}/${place}/${program}"
        COMMAND ${CMAKE_COMMAND} -E make_directory "${tree}/${place}"
        COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:${program}> "${tree}/${place}/${program}"
        DEPENDS ${program})
      list(APPEND copies "${tree}/${place}/${program}")
    endif()
  endforeach()
  add_custom_target(${name}_tree ALL DEPENDS ${copies})
endfunction()
