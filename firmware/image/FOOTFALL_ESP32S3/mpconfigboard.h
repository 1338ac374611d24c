#define MICROPY_HW_BOARD_NAME "Footfall probe S3"
#define MICROPY_HW_MCU_NAME "ESP32S3"
