# cmake --install build/release --prefix DIR: a tree that runs wherever it is put, on a system with the Debian libraries.
#   bin/icedit   lib/icedit/*.so (libtorch, Arrow)   share/icedit/models/nano   share/doc/icedit
set(private_lib lib/icedit)
set_target_properties(icedit PROPERTIES INSTALL_RPATH "$ORIGIN/../${private_lib}")
install(TARGETS icedit RUNTIME DESTINATION bin)

# What readelf -d names for libtorch_cpu, beyond the C and C++ libraries. All of them look beside themselves ($ORIGIN).
set(wanted ${TORCH_DIR}/lib/libtorch_cpu.so ${TORCH_DIR}/lib/libc10.so ${TORCH_DIR}/lib/libgomp.so.1
  ${ICEDIT_DEPS}/nvidia/cu13/lib/libcudart.so.13 ${ICEDIT_DEPS}/nvidia/cu13/lib/libcupti.so.13 ${ARROW_LIBS})
install(FILES ${wanted} DESTINATION ${private_lib})

# libtorch_cuda needs 3 GB of libraries more, so they come along only when asked for. Unmeasured: no test runs this.
option(ICEDIT_INSTALL_CUDA "install the CUDA libraries of scripts/setup.sh --cuda too" OFF)
if(ICEDIT_INSTALL_CUDA)
  file(GLOB cuda_libraries ${TORCH_DIR}/lib/libtorch_cuda*.so ${TORCH_DIR}/lib/libc10_cuda.so
    ${TORCH_DIR}/lib/libcaffe2_nvrtc.so ${TORCH_DIR}/lib/libtorch_nvshmem.so ${ICEDIT_DEPS}/nvidia/*/lib/*.so*)
  list(REMOVE_ITEM cuda_libraries ${wanted})
  install(FILES ${cuda_libraries} DESTINATION ${private_lib})
endif()
if(TARGET icedit_nccl)
  set_target_properties(icedit_nccl PROPERTIES INSTALL_RPATH "$ORIGIN")
  install(TARGETS icedit_nccl LIBRARY DESTINATION ${private_lib})
endif()

install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/nano/model ${CMAKE_SOURCE_DIR}/models/nano/lora
  DESTINATION share/icedit/models/nano)
install(FILES ${CMAKE_SOURCE_DIR}/models/nano/README.md DESTINATION share/icedit/models/nano)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/docs/dependencies.md DESTINATION share/doc/icedit)
# The libraries' own licences ask to travel with them.
file(GLOB wheel_infos ${ICEDIT_DEPS}/*.dist-info/licenses)
foreach(licences ${wheel_infos})
  string(REGEX REPLACE ".*/([^/]+)\\.dist-info/licenses$" "\\1" wheel ${licences})
  install(DIRECTORY ${licences}/ DESTINATION share/doc/icedit/licences/${wheel})
endforeach()
