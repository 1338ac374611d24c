# For ports built by make (unix, qemu): the host build, with a radio that tests speak into.
DOT11CAP_DIR := $(USERMOD_DIR)
DOT11CAP_CEXT := $(abspath $(USERMOD_DIR)/../../../cext)

SRC_USERMOD_C += $(addprefix $(DOT11CAP_DIR)/, moddot11cap.c mod_host.c ear.c pack.c radio_host.c)
SRC_USERMOD_LIB_C += $(addprefix $(DOT11CAP_CEXT)/, dot11.c ble.c)
CFLAGS_USERMOD += -I$(DOT11CAP_DIR) -I$(DOT11CAP_CEXT) -DDOT11CAP_HOST
ifneq ($(DOT11CAP_WITHOUT_MBEDTLS),1)
SRC_USERMOD_C += $(DOT11CAP_DIR)/verify.c
LDFLAGS_USERMOD += -lmbedcrypto
else
CFLAGS_USERMOD += -DDOT11CAP_WITHOUT_MBEDTLS
endif
