#define MICROPY_HW_BOARD_NAME "Footfall probe C3"
#define MICROPY_HW_MCU_NAME "ESP32C3"
