# Warnings, sanitizers, linker, compiler cache.

# Runs on any x86-64-v2 machine: what needs more is dispatched at run time.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-march=x86-64-v2>)
endif()

add_compile_options(
  "$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Werror;$<$<CXX_COMPILER_ID:GNU>:-Wshadow=local>;-Wno-missing-field-initializers>"
  "$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor;-Woverloaded-virtual>")

# GCC 12 sees an overlapping memcpy in std::string concatenation at -O3 where
# there is none (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-Wno-restrict>)
endif()

# All of it ends in programs: one model for libraries and programs, so that they
# can share precompiled headers.
add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fPIE>)
add_link_options(-pie)

# The dev preset keeps assertions: CMake's RelWithDebInfo would drop them.
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
string(REPLACE "-g" "-g1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
# The loops that gain from -O3 are the kernels, which ask for it themselves.
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")

if(BRAID_SANITIZE)
  # Optimising instrumented code costs more time than it saves in the tests.
  string(REPLACE "-O2" "-O1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
  add_compile_options(-fsanitize=${BRAID_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BRAID_SANITIZE})
  if(BRAID_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's sanitizer instrumentation raises false maybe-uninitialized warnings;
    # the plain builds keep that warning an error.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()
if(BRAID_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

find_program(BRAID_CCACHE ccache)
if(BRAID_CCACHE)
  # Sloppiness: what ccache asks for before it caches with precompiled headers.
  # Base directory: a second clone finds what the first one compiled.
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_NOHASHDIR=1 ${BRAID_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_C_COMPILER_LAUNCHER})
endif()

find_program(BRAID_MOLD mold)
if(BRAID_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
