# For the ESP32 port: USER_C_MODULES=<this repository>/firmware/usermod/dot11cap/micropython.cmake
set(DOT11CAP_CEXT ${CMAKE_CURRENT_LIST_DIR}/../../../cext)

add_library(usermod_dot11cap INTERFACE)
target_sources(usermod_dot11cap INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/moddot11cap.c
    ${CMAKE_CURRENT_LIST_DIR}/ear.c
    ${CMAKE_CURRENT_LIST_DIR}/pack.c
    ${CMAKE_CURRENT_LIST_DIR}/radio_esp32.c
    ${CMAKE_CURRENT_LIST_DIR}/verify.c
    ${DOT11CAP_CEXT}/dot11.c
    ${DOT11CAP_CEXT}/ble.c
)
target_include_directories(usermod_dot11cap INTERFACE ${CMAKE_CURRENT_LIST_DIR} ${DOT11CAP_CEXT})
# The image is built for size; a frame is what the module is built for.
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/ear.c ${CMAKE_CURRENT_LIST_DIR}/pack.c ${DOT11CAP_CEXT}/dot11.c ${DOT11CAP_CEXT}/ble.c
    PROPERTIES COMPILE_OPTIONS -O2)
target_link_libraries(usermod INTERFACE usermod_dot11cap)
