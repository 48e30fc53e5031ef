# Stand-ins of what Slicer's build tree gives extensions, for `cmake -DSlicer_DIR=Testing/cmake`: the packages of Slicer
# that people install hold no CMake files. Scripts and resources go where Slicer's own macros put them; each call is
# recorded in recorded.txt of the build tree. Only what this extension uses is there.
set(Slicer_VERSION "5.12" CACHE STRING "Major and minor version of the Slicer that the extension is packaged for")
set(Slicer_INSTALL_ROOT "")
set(Slicer_LIB_DIR "lib/Slicer-${Slicer_VERSION}")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_LIB_DIR}/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_INSTALL_ROOT}${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
set(Slicer_LAUNCHER_EXECUTABLE "Slicer" CACHE STRING "Program that starts Slicer, for the tests")
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/SlicerExtensionGenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/SlicerExtensionCPack.cmake")
