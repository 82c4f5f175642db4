# Builds the Rust workspace into one static library, target braid_ffi.
find_program(CARGO cargo HINTS $ENV{HOME}/.cargo/bin REQUIRED)
set(BRAID_CARGO_TARGET ${BRAID_CACHE}/cargo CACHE PATH "Cargo's target folder, outside the build folder")
set(braid_ffi_archive ${BRAID_CARGO_TARGET}/release/libbraid_ffi.a)

# Cargo decides itself what is out of date, so it runs in every build.
add_custom_target(braid_ffi_build
  COMMAND ${CMAKE_COMMAND} -E env CARGO_TARGET_DIR=${BRAID_CARGO_TARGET}
          ${CARGO} build --release --locked --quiet --package braid-ffi
  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
  BYPRODUCTS ${braid_ffi_archive}
  USES_TERMINAL
  COMMENT "cargo build braid-ffi")

add_library(braid_ffi STATIC IMPORTED GLOBAL)
set_target_properties(braid_ffi PROPERTIES
  IMPORTED_LOCATION ${braid_ffi_archive}
  INTERFACE_LINK_LIBRARIES "gcc_s;util;rt;Threads::Threads;m;${CMAKE_DL_LIBS}")
add_dependencies(braid_ffi braid_ffi_build)
