#define MICROPY_HW_BOARD_NAME "Footfall probe"
#define MICROPY_HW_MCU_NAME "ESP32"
