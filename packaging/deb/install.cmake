# SPDX-License-Identifier: Apache-2.0
# What Debian wants beyond what cmake --install installs: CPack runs it between installing and packing.
unset(ENV{DESTDIR}) # file(INSTALL) would put it in front once more
set(root "${CPACK_TEMPORARY_DIRECTORY}")
set(doc "${root}/usr/share/doc/tw-agent")
set(here "${CMAKE_CURRENT_LIST_DIR}")
set(public OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
set(enter OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# tw_gzip(FROM TO): without name and time, so that it is the same each time.
function(tw_gzip from to)
  execute_process(COMMAND gzip -9n INPUT_FILE "${from}" OUTPUT_FILE "${to}" COMMAND_ERROR_IS_FATAL ANY)
  file(CHMOD "${to}" PERMISSIONS ${public})
endfunction()

file(INSTALL "${here}/copyright" DESTINATION "${doc}")
tw_gzip("${here}/changelog" "${doc}/changelog.Debian.gz")
tw_gzip("${doc}/CHANGELOG.md" "${doc}/changelog.gz")
file(REMOVE "${doc}/CHANGELOG.md")
file(INSTALL "${here}/lintian-overrides" DESTINATION "${root}/usr/share/lintian/overrides" RENAME tw-agent)
file(GLOB pages "${root}/usr/share/man/man*/*.[0-9]")
foreach(page ${pages})
  tw_gzip("${page}" "${page}.gz")
  file(REMOVE "${page}")
endforeach()
file(MAKE_DIRECTORY "${root}/etc/tw-agent")
file(CHMOD "${root}/etc/tw-agent" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE)
if(EXISTS "${here}/../tw-agent.conf.example")
  file(INSTALL "${here}/../tw-agent.conf.example" DESTINATION "${root}/etc/tw-agent"
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
endif()
