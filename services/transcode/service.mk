SERVICES += transcode
# Found by their names. Two programs stand beside the service: what confines ffmpeg, and what reads pictures; small ones of
# their own, so that a child starts within milliseconds and the service does not link what parses strangers' files.
transcode_HELPERS := confine image
transcode_TEST_HELPERS := hostile
transcode_confine_LIBS := -lseccomp
transcode_image_LIBS = $(shell pkg-config --libs vips) -lm
$(B)/obj/services/transcode/image.o: CPPFLAGS += $(shell pkg-config --cflags vips 2>/dev/null)
transcode_NAMES := $(notdir $(wildcard services/transcode/*.c))
transcode_PARTS := $(filter-out main.c store_schema.c $(transcode_HELPERS:%=%.c) $(transcode_TEST_HELPERS:%=%.c) %_test.c %_fuzz.c,$(transcode_NAMES))
transcode_SOURCES := main.c $(transcode_PARTS)
# Those with rpcs.
transcode_PROTOS := atrium/transcode/v1/processing.proto
transcode_TESTS := $(basename $(filter %_test.c,$(transcode_NAMES)))
$(foreach t,$(transcode_TESTS),$(eval transcode_$(t)_LINKS := $(transcode_PARTS) store_schema.c))
transcode_LIBS := -lm
