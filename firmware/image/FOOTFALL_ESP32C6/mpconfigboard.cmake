set(IDF_TARGET esp32c6)
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/sdkconfig.ble
    boards/sdkconfig.c6
    ${CMAKE_CURRENT_LIST_DIR}/../footfall.sdkconfig
)
set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/../manifest.py)
