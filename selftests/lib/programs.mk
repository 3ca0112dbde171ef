# SPDX-License-Identifier: GPL-2.0-only
# Rules for a folder in which every .c file is one static program, linked with the library of this folder.
# Must not run them; they need a machine with VMX.
#
# The folder's Makefile may set INCLUDES before it includes this, and PARTS: files that are no programs. Their objects
# are prerequisites, $(OUT)/lib/NAME.o, of the programs they belong to.

OUT ?= build
CC ?= gcc
CFLAGS ?= -O2
PROGRAM_CFLAGS := -Wall -Wextra -Werror -std=gnu11 -fno-pie -static -no-pie -pthread \
	-D_GNU_SOURCE -I../lib -I. $(INCLUDES) -MMD -MP

LIB_OBJS := $(addprefix $(OUT)/lib/,tvm.o modes.o ops.o stubs.o)
PROGRAMS := $(patsubst %.c,$(OUT)/%,$(filter-out $(PARTS),$(wildcard *.c)))
MAKEFILES := Makefile ../lib/programs.mk

all: $(PROGRAMS)

$(OUT)/lib:
	mkdir -p $@

$(OUT)/lib/%.o: ../lib/%.c $(MAKEFILES) | $(OUT)/lib
	$(CC) $(CFLAGS) $(PROGRAM_CFLAGS) -c -o $@ $<

$(OUT)/lib/%.o: ../lib/%.S $(MAKEFILES) | $(OUT)/lib
	$(CC) $(PROGRAM_CFLAGS) -c -o $@ $<

$(PARTS:%.c=$(OUT)/lib/%.o): $(OUT)/lib/%.o: %.c $(MAKEFILES) | $(OUT)/lib
	$(CC) $(CFLAGS) $(PROGRAM_CFLAGS) -c -o $@ $<

$(OUT)/%: %.c $(LIB_OBJS) $(MAKEFILES) | $(OUT)/lib
	$(CC) $(CFLAGS) $(PROGRAM_CFLAGS) -MF $@.d -o $@ $< $(filter %.o,$^)

clean:
	rm -rf $(OUT)

-include $(wildcard $(OUT)/*.d $(OUT)/lib/*.d)

.PHONY: all clean
.SECONDARY: $(LIB_OBJS)
.DELETE_ON_ERROR:
