# Everything that comes from Debian or from the dependency cache.
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(Protobuf CONFIG QUIET)
if(NOT Protobuf_FOUND)
  find_package(Protobuf REQUIRED)
endif()
find_package(ZLIB REQUIRED)
find_package(Boost 1.74 CONFIG REQUIRED)  # headers: Asio and Beast
find_package(absl CONFIG REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(GUMBO REQUIRED IMPORTED_TARGET gumbo)
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-uc icu-i18n)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(EXPAT REQUIRED IMPORTED_TARGET expat)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(POPPLER REQUIRED IMPORTED_TARGET poppler-cpp)
pkg_check_modules(TOMLPP REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)
if(BRAID_TESTS)
  find_package(GTest CONFIG REQUIRED)
  find_package(benchmark CONFIG REQUIRED)
  pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)  # the other side
endif()

# FAISS: three builds of one library (generic, AVX2, AVX-512) in the layout that
# the dynamic loader chooses from by CPU (glibc-hwcaps).
set(BRAID_FAISS_ROOT ${BRAID_CACHE}/faiss-1.12.0 CACHE PATH "FAISS of deploy/setup")
if(NOT EXISTS ${BRAID_FAISS_ROOT}/lib/libfaiss.so)
  message(FATAL_ERROR "FAISS is not in ${BRAID_FAISS_ROOT}: run ./deploy/setup first")
endif()
add_library(braid_faiss SHARED IMPORTED GLOBAL)
set_target_properties(braid_faiss PROPERTIES
  IMPORTED_LOCATION ${BRAID_FAISS_ROOT}/lib/libfaiss.so
  INTERFACE_INCLUDE_DIRECTORIES ${BRAID_FAISS_ROOT}/include)

set(BRAID_ROCKSDB_ROOT ${BRAID_CACHE}/rocksdb-10.4.2 CACHE PATH "RocksDB of deploy/setup")
if(NOT EXISTS ${BRAID_ROCKSDB_ROOT}/lib/librocksdb.so)
  message(FATAL_ERROR "RocksDB is not in ${BRAID_ROCKSDB_ROOT}: run ./deploy/setup first")
endif()
add_library(braid_rocksdb SHARED IMPORTED GLOBAL)
set_target_properties(braid_rocksdb PROPERTIES
  IMPORTED_LOCATION ${BRAID_ROCKSDB_ROOT}/lib/librocksdb.so
  INTERFACE_INCLUDE_DIRECTORIES ${BRAID_ROCKSDB_ROOT}/include)

# In the build tree CMake points programs at the two folders above. Installed,
# they find RocksDB and all builds of FAISS beside them.
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")
foreach(root ${BRAID_FAISS_ROOT} ${BRAID_ROCKSDB_ROOT})
  install(DIRECTORY ${root}/lib/ DESTINATION lib
    USE_SOURCE_PERMISSIONS FILES_MATCHING PATTERN "*.so*")
endforeach()

# google/rpc/*.proto and google/api/*.proto of the googleapis: rich errors, and HTTP
# annotations.
set(BRAID_GOOGLEAPIS_ROOT ${BRAID_CACHE}/googleapis-1.76.0 CACHE PATH "googleapis of deploy/setup")
if(NOT EXISTS ${BRAID_GOOGLEAPIS_ROOT}/google/api/annotations.proto)
  message(FATAL_ERROR "The googleapis are not in ${BRAID_GOOGLEAPIS_ROOT}: run ./deploy/setup first")
endif()
