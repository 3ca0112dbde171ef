// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DSDT: what devices there are, in ACPI's machine language.
 *
 * Must not describe what a guest does not need: each object costs it time.
 */
#include <string.h>

#include "aml.h"

#define OP_ZERO		0x00
#define OP_NAME		0x08
#define OP_BYTE		0x0a
#define OP_DWORD	0x0c
#define OP_STRING	0x0d
#define OP_SCOPE	0x10
#define OP_BUFFER	0x11
#define OP_PACKAGE	0x12
#define OP_EXT		0x5b
#define EXT_DEVICE	0x82

#define SMALL_IO	0x47	/* ports, 7 bytes follow */
#define SMALL_IRQ	0x22	/* edge, active high, not shared; 2 bytes follow */
#define SMALL_END	0x79
#define LARGE_MEMORY	0x86	/* 32-bit, at a fixed address */
#define LARGE_IRQ	0x89	/* any interrupt */
#define IRQ_EDGE	0x03	/* consumed, edge, active high, not shared */

/**
 * struct aml - bytecode under construction
 * @buf: where it goes
 * @len: bytes so far
 * @max: room
 */
struct aml {
	u8 *buf;
	size_t len;
	size_t max;
};

static void bytes(struct aml *a, const void *data, size_t n)
{
	if (n > a->max - a->len)
		die("the ACPI description of the machine does not fit");
	memcpy(a->buf + a->len, data, n);
	a->len += n;
}

static void byte(struct aml *a, u8 val)
{
	bytes(a, &val, 1);
}

static void dword(struct aml *a, u32 val)
{
	bytes(a, &val, sizeof(val));
}

/* What has a length in front of it that is only known at its end. */
static size_t begin(struct aml *a)
{
	return a->len;
}

/* A length counts itself: one byte holds up to 63, else a byte with 4 bits and up to 3 more. */
static void end(struct aml *a, size_t start)
{
	size_t body = a->len - start, total = body + 1, extra = 0;
	u8 length[4];

	while (total > (extra ? (1ull << (4 + 8 * extra)) - 1 : 63))
		total = body + 1 + ++extra;
	length[0] = (u8)(extra ? extra << 6 | (total & 0xf) : total);
	for (size_t i = 0; i < extra; i++)
		length[1 + i] = (u8)(total >> (4 + 8 * i));
	bytes(a, length, extra + 1);
	memmove(a->buf + start + extra + 1, a->buf + start, body);
	memcpy(a->buf + start, length, extra + 1);
}

static size_t device(struct aml *a, const char name[static 4])
{
	size_t start;

	byte(a, OP_EXT);
	byte(a, EXT_DEVICE);
	start = begin(a);
	bytes(a, name, 4);
	return start;
}

static void name(struct aml *a, const char name[static 4])
{
	byte(a, OP_NAME);
	bytes(a, name, 4);
}

static void string(struct aml *a, const char *s)
{
	byte(a, OP_STRING);
	bytes(a, s, strlen(s) + 1);
}

static void integer(struct aml *a, u32 val)
{
	byte(a, OP_DWORD);
	dword(a, val);
}

/* Name (_CRS, ResourceTemplate () { ... }): the end tag's checksum may be 0, for "none". */
static void resources(struct aml *a, const void *data, size_t n)
{
	const u8 tag[] = { SMALL_END, 0 };
	size_t start;

	name(a, "_CRS");
	byte(a, OP_BUFFER);
	start = begin(a);
	byte(a, OP_BYTE);
	byte(a, (u8)(n + sizeof(tag)));
	bytes(a, data, n);
	bytes(a, tag, sizeof(tag));
	end(a, start);
}

/* Name (\_S5, Package () { type, type, 0, 0 }) */
static void soft_off(struct aml *a, u8 type)
{
	const u8 package[] = { 4, OP_BYTE, type, OP_BYTE, type, OP_ZERO, OP_ZERO };
	size_t start;

	name(a, "_S5_");
	byte(a, OP_PACKAGE);
	start = begin(a);
	bytes(a, package, sizeof(package));
	end(a, start);
}

/* Device (COM1): _HID EisaId ("PNP0501"), eight ports, one interrupt */
static void com1(struct aml *a)
{
	const u8 crs[] = {
		SMALL_IO, 1, COM1_BASE & 0xff, COM1_BASE >> 8, COM1_BASE & 0xff, COM1_BASE >> 8,
		1, 8, SMALL_IRQ, 1 << IRQ_COM1, 0,
	};
	size_t start = device(a, "COM1");

	name(a, "_HID");
	integer(a, 0x0105d041);
	resources(a, crs, sizeof(crs));
	end(a, start);
}

static void number(char out[static 3], u32 val)
{
	static const char digits[] = "0123456789ABCDEF";

	for (int i = 2; i >= 0; i--, val >>= 4)
		out[i] = digits[val & 0xf];
}

/* Device (Vnnn): _HID "LNRO0005", which Linux's virtio_mmio knows, a page, an interrupt */
static void virtio(struct aml *a, u32 index, u32 gsi)
{
	struct {
		u8 memory, memory_len[2], writable;
		u32 base, len;
		u8 irq, irq_len[2], irq_flags, irq_count;
		u32 gsi;
	} __packed crs = {
		.memory = LARGE_MEMORY, .memory_len = { 9, 0 }, .writable = 1,
		.base = (u32)VIRTIO_BASE(index), .len = VIRTIO_LEN,
		.irq = LARGE_IRQ, .irq_len = { 6, 0 }, .irq_flags = IRQ_EDGE, .irq_count = 1,
		.gsi = gsi,
	};
	char id[4] = "V";
	size_t start;

	number(id + 1, index);
	start = device(a, id);
	name(a, "_HID");
	string(a, "LNRO0005");
	name(a, "_UID");
	integer(a, index);
	resources(a, &crs, sizeof(crs));
	end(a, start);
}

/* Device (Cnnn): _HID "ACPI0007", and the number that the MADT has */
static void processor(struct aml *a, u32 index)
{
	char id[4] = "C";
	size_t start;

	number(id + 1, index);
	start = device(a, id);
	name(a, "_HID");
	string(a, "ACPI0007");
	name(a, "_UID");
	integer(a, index);
	end(a, start);
}

size_t aml_dsdt(struct vm *vm, u8 soft_off_type, u8 *out, size_t max)
{
	struct aml a = { .buf = out, .max = max };
	size_t start;

	soft_off(&a, soft_off_type);
	byte(&a, OP_SCOPE);
	start = begin(&a);
	bytes(&a, "_SB_", 4);
	com1(&a);
	for (u32 i = 0; i < vm->nr_virtio; i++)
		virtio(&a, i, virtio_gsi(i));
	/* A single processor needs no more than its line in the MADT. */
	for (u32 i = 0; vm->nr_vcpus > 1 && i < vm->nr_vcpus; i++)
		processor(&a, i);
	end(&a, start);
	return a.len;
}
