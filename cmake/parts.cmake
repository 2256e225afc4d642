# How ModelForge is put together: parts (one per folder, compiled apart so that the compiler itself enforces who may
# include whom), the one library made of them, and the public headers.

include(GNUInstallDirs)

set(MODELFORGE_HEADERS ${PROJECT_BINARY_DIR}/include) # holds <modelforge/...>, forwarding to the source tree

# Makes <modelforge/PATH> of every public header (without src/): a file that includes the real one, by a relative path so
# that it is the same file in every clone. The source root itself is never on a host's include path, where its messages/
# or config/ could meet the host's own.
function(modelforge_public_headers)
  foreach(path IN LISTS ARGN)
    set(real ${PROJECT_SOURCE_DIR}/${path})
    string(REGEX REPLACE "^src/" "" path ${path})
    cmake_path(GET path PARENT_PATH folder)
    file(RELATIVE_PATH forwarded ${MODELFORGE_HEADERS}/modelforge/${folder} ${real})
    file(CONFIGURE OUTPUT ${MODELFORGE_HEADERS}/modelforge/${path} CONTENT "#include \"${forwarded}\"\n" @ONLY)
    install(FILES ${real} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/modelforge/${folder} COMPONENT development)
    set_property(GLOBAL APPEND PROPERTY MODELFORGE_PUBLIC_HEADERS ${path})
  endforeach()
endfunction()

# Flags for our own code only.
function(modelforge_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local>
    -Wnon-virtual-dtor)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict) # false alarms on string concatenation (GCC bug 105651)
  endif()
  # No path of this clone in objects: they are the same in every clone, for ccache and for who compares them.
  target_compile_options(${target} PRIVATE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
  if(MODELFORGE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES ccache AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess) # lets ccache see through precompiled headers
  endif()
endfunction()

# Makes the source file OUTPUT (in the build folder) from OUTPUT.in, in which @VARIABLE@ stands for the content of TEXT.
function(modelforge_embed variable text output)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${text})
  file(READ ${text} ${variable})
  configure_file(${output}.in ${PROJECT_BINARY_DIR}/${output} @ONLY)
endfunction()

# For what is on no request's way: -O1 takes a quarter less time to compile than -O2 (together 30 s of CPU).
function(modelforge_less_optimized target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# For what runs hours of virtual time in the tests: optimized under the sanitizers, too, where the rest is not.
function(modelforge_optimized_for_simulations target)
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=")
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# Leaves out of the objects where the headers of a library lie: a path of this machine, in messages that name a header.
function(modelforge_nameless target library)
  get_target_property(directories ${library} INTERFACE_INCLUDE_DIRECTORIES)
  foreach(directory IN LISTS directories)
    target_compile_options(${target} PRIVATE -ffile-prefix-map=${directory}/=)
  endforeach()
endfunction()

# Gives a target its sources: modelforge_sources(TARGET file ... [-- file ...] ...). The files between two `--` are compiled
# as one: what they include is then read, and the templates that they share are made, once for all of them. All parts
# take half the time so; but a group that takes more than some 10 s would make a small change slow.
function(modelforge_sources target)
  set(group 1)
  foreach(file IN LISTS ARGN)
    if(file STREQUAL "--")
      math(EXPR group "${group} + 1")
    else()
      target_sources(${target} PRIVATE ${file})
      set_source_files_properties(${file} PROPERTIES UNITY_GROUP ${group})
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${MODELFORGE_UNITY} UNITY_BUILD_MODE GROUP)
  if(MODELFORGE_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The first takes included files for headers; the second is wrong about std::variant in large units.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage -Wno-maybe-uninitialized)
  endif()
endfunction()

# modelforge_part(NAME SOURCES file ... [-- file ...] ... [LINKS target ...] [PRECOMPILE header ...] [PRECOMPILED part])
# PRECOMPILED: takes the precompiled headers of another part.
function(modelforge_part name)
  cmake_parse_arguments(part "" "PRECOMPILED" "SOURCES;LINKS;PRECOMPILE" ${ARGN})
  set(target modelforge_${name})
  add_library(${target} OBJECT)
  modelforge_sources(${target} ${part_SOURCES})
  modelforge_compile_options(${target})
  target_include_directories(${target} PUBLIC ${MODELFORGE_HEADERS} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PUBLIC ${part_LINKS})
  foreach(link IN LISTS part_LINKS) # others' headers are not ours to warn about
    if(TARGET ${link})
      get_target_property(directories ${link} INTERFACE_INCLUDE_DIRECTORIES)
      if(directories)
        target_include_directories(${target} SYSTEM PUBLIC ${directories})
      endif()
    endif()
  endforeach()
  if(part_PRECOMPILE) # saves 0.7 s a unit with JSON's header, 2.5 s with CAF's
    target_precompile_headers(${target} PRIVATE ${part_PRECOMPILE})
  endif()
  if(part_PRECOMPILED)
    target_precompile_headers(${target} REUSE_FROM modelforge_${part_PRECOMPILED})
  endif()
endfunction()

# The library that hosts link: all parts in one archive.
function(modelforge_library)
  add_library(modelforge)
  add_library(modelforge::modelforge ALIAS modelforge)
  foreach(name IN LISTS ARGN)
    target_sources(modelforge PRIVATE $<TARGET_OBJECTS:modelforge_${name}>)
  endforeach()
  set_target_properties(modelforge PROPERTIES LINKER_LANGUAGE CXX)
  target_compile_features(modelforge PUBLIC cxx_std_20)
  target_include_directories(modelforge PUBLIC
    $<BUILD_INTERFACE:${MODELFORGE_HEADERS}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(modelforge PUBLIC CAF::core CAF::io PRIVATE CURL::libcurl OpenSSL::SSL Threads::Threads
    $<BUILD_INTERFACE:nlohmann_json::nlohmann_json> $<BUILD_INTERFACE:toml11::toml11>) # headers alone: hosts need neither
endfunction()

# What `cmake --install` gives a host beside the headers: the library, and a package for find_package(modelforge CONFIG).
function(modelforge_install)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/modelforge)
  install(TARGETS modelforge EXPORT modelforge COMPONENT development)
  install(EXPORT modelforge FILE modelforgeTargets.cmake NAMESPACE modelforge:: DESTINATION ${package}
          COMPONENT development)
  set(MODELFORGE_CAF_HINT ${CAF_DIR})
  if(MODELFORGE_BUNDLE_CAF) # for packages: where they are installed, nothing else brings this version
    set(MODELFORGE_CAF_HINT "")
    set(caf ${CMAKE_INSTALL_LIBDIR}/modelforge/caf)
    install(DIRECTORY ${CAF_DIR} DESTINATION ${caf}/lib/cmake COMPONENT development)
    install(DIRECTORY ${CAF_DIR}/../../../include/caf DESTINATION ${caf}/include COMPONENT development)
    file(GLOB archives ${CAF_DIR}/../../*.a)
    install(FILES ${archives} DESTINATION ${caf}/lib COMPONENT development)
  endif()
  include(CMakePackageConfigHelpers)
  configure_package_config_file(cmake/modelforgeConfig.cmake.in ${PROJECT_BINARY_DIR}/modelforgeConfig.cmake
    INSTALL_DESTINATION ${package})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/modelforgeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/modelforgeConfig.cmake ${PROJECT_BINARY_DIR}/modelforgeConfigVersion.cmake
          DESTINATION ${package} COMPONENT development)
  install(FILES LICENSE NOTICE config/example.toml DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
  install(FILES packaging/alerts.yml packaging/grafana.json DESTINATION ${CMAKE_INSTALL_DATADIR}/modelforge COMPONENT program)
endfunction()

# What is installed beside the program: manual pages and completions, which it writes itself whenever it has been linked
# anew, and the units of systemd.
function(modelforge_program_files program)
  if(NOT CMAKE_CROSSCOMPILING)
    set(share ${PROJECT_BINARY_DIR}/share)
    add_custom_command(TARGET ${program} POST_BUILD VERBATIM
      COMMAND ${CMAKE_COMMAND} -E rm -rf ${share}
      COMMAND ${program} generate share ${share})
    install(DIRECTORY ${share}/ DESTINATION ${CMAKE_INSTALL_DATADIR} COMPONENT program)
  endif()
  modelforge_unit(modelforge-node modelforge /etc/modelforge/modelforge.toml)
  modelforge_unit(modelforge-node@ modelforge-%i /etc/modelforge/%i.toml)
endfunction()

# modelforge_unit(NAME STATE CONFIG): with an "@" at the end of NAME a template for any number of nodes on a machine.
function(modelforge_unit name STATE CONFIG)
  string(REPLACE "@" "@NAME" UNIT ${name})
  set(FOR_INSTANCE "")
  if(NOT UNIT STREQUAL name)
    set(FOR_INSTANCE " %i")
  endif()
  set(PROGRAM ${CMAKE_INSTALL_FULL_BINDIR}/modelforge)
  set(made ${PROJECT_BINARY_DIR}/systemd/${name}.service)
  configure_file(${PROJECT_SOURCE_DIR}/packaging/modelforge-node.service.in ${made} @ONLY)
  install(FILES ${made} DESTINATION lib/systemd/system COMPONENT program)
endfunction()

modelforge_public_headers(
  actors/batch_coordinator.hpp
  actors/metrics.hpp
  actors/provider.hpp
  actors/registry.hpp
  actors/runtime.hpp
  actors/system.hpp
  actors/text_stream.hpp
  config/circuit_breaker_settings.hpp
  config/fwd.hpp
  config/load.hpp
  config/log_settings.hpp
  config/rate_limit_settings.hpp
  config/retry_settings.hpp
  config/secret.hpp
  config/settings.hpp
  config/slot_settings.hpp
  messages/attempt.hpp
  messages/batch.hpp
  messages/batch_job.hpp
  messages/batch_options.hpp
  messages/chat_request.hpp
  messages/completion.hpp
  messages/content.hpp
  messages/embedding.hpp
  messages/enums.hpp
  messages/errc.hpp
  messages/error.hpp
  messages/interfaces.hpp
  messages/node_hello.hpp
  messages/request_id.hpp
  messages/status.hpp
  messages/stream.hpp
  messages/token_usage.hpp
  messages/type_ids.hpp
  src/log/record.hpp
  src/log/start_log.hpp
  src/optimize/optimizer.hpp
)
