// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ACPI tables, and the power-management ports they promise.
 *
 * Must not describe a device that the runner does not have.
 */
#include <string.h>

#include "aml.h"

/*
 * No PM timer, no general-purpose events and no fixed buttons: a guest spends time on each of them.
 * ACPI mode is on from the start, so there is no command port to switch it.
 */
#define PM1_BASE	0x600
#define PM1_EVENT_LEN	4		/* status, enable */
#define PM1_ENABLE	2		/* offset of the enable register */
#define PM1_CONTROL	4		/* offset of the control register */
#define PM1_LEN		6
#define CONTROL_SCI_EN	0x0001
#define CONTROL_SLP_EN	0x20	/* in the control register's upper byte, as is the type */
#define SLP_TYPE(high)	(((high) >> 2) & 7)
#define SLP_TYPE_S5	5		/* as the DSDT's \_S5 says */

#define RESET_PORT	0xcf9
#define RESET_VALUE	0x06

#define FADT_WBINVD		BIT(0)
#define FADT_PROC_C1		BIT(2)
#define FADT_NO_POWER_BUTTON	BIT(4)
#define FADT_NO_SLEEP_BUTTON	BIT(5)
#define FADT_NO_FIXED_RTC	BIT(6)
#define FADT_RESET_REGISTER	BIT(10)
#define FADT_ARCH_LEGACY	BIT(0)
#define FADT_ARCH_NO_VGA	BIT(2)
#define FADT_ARCH_NO_ASPM	BIT(4)

#define MADT_PC_COMPATIBLE	1
#define SPACE_IO		1
#define ACCESS_BYTE		1
#define ACCESS_WORD		2

struct sdt_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __packed;

struct gas {
	u8 space;
	u8 bit_width;
	u8 bit_offset;
	u8 access;
	u64 address;
} __packed;

struct rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;

struct facs {
	char signature[4];
	u32 length;
	u32 hardware_signature;
	u32 waking_vector;
	u32 global_lock;
	u32 flags;
	u64 x_waking_vector;
	u8 version;
	u8 reserved[31];
} __packed;

struct fadt {
	struct sdt_header header;
	u32 facs;
	u32 dsdt;
	u8 reserved1;
	u8 pm_profile;
	u16 sci_irq;
	u32 smi_command;
	u8 smi_commands[4];
	u32 pm1a_event;
	u32 pm1b_event;
	u32 pm1a_control;
	u32 pm1b_control;
	u32 pm2_control;
	u32 pm_timer;
	u32 gpe0;
	u32 gpe1;
	u8 pm1_event_len;
	u8 pm1_control_len;
	u8 pm2_control_len;
	u8 pm_timer_len;
	u8 gpe0_len;
	u8 gpe1_len;
	u8 gpe1_base;
	u8 cst_control;
	u16 c2_latency;
	u16 c3_latency;
	u16 flush_size;
	u16 flush_stride;
	u8 duty_offset;
	u8 duty_width;
	u8 day_alarm;
	u8 month_alarm;
	u8 century;
	u16 boot_flags;
	u8 reserved2;
	u32 flags;
	struct gas reset_register;
	u8 reset_value;
	u16 arm_flags;
	u8 minor_revision;
	u64 x_facs;
	u64 x_dsdt;
	struct gas x_pm1a_event;
	struct gas x_pm1b_event;
	struct gas x_pm1a_control;
	struct gas x_pm1b_control;
	struct gas x_pm2_control;
	struct gas x_pm_timer;
	struct gas x_gpe0;
	struct gas x_gpe1;
	struct gas sleep_control;
	struct gas sleep_status;
} __packed;

static_assert(sizeof(struct sdt_header) == 36, "table header");
static_assert(sizeof(struct rsdp) == 36, "RSDP");
static_assert(sizeof(struct facs) == 64, "FACS");
static_assert(sizeof(struct fadt) == 268, "FADT of revision 5");

/**
 * struct builder - tables being laid out one after the other
 * @base: host address of FIRMWARE_START
 * @used: bytes taken
 */
struct builder {
	u8 *base;
	u32 used;
};

static u8 checksum(const void *data, size_t len)
{
	const u8 *p = data;
	u8 sum = 0;

	while (len--)
		sum += *p++;
	return (u8)-sum;
}

/* Space for a table, aligned as FACS wants it. Returns its guest-physical address. */
static u32 place(struct builder *b, size_t len, void *out)
{
	u32 at = (u32)align_up(b->used, 64);

	if (at + len > FIRMWARE_END - FIRMWARE_START)
		die("ACPI tables do not fit");
	b->used = at + (u32)len;
	*(void **)out = b->base + at;
	return FIRMWARE_START + at;
}

static void finish(struct sdt_header *h, const char *signature, u8 revision, size_t len)
{
	memcpy(h->signature, signature, 4);
	h->length = (u32)len;
	h->revision = revision;
	memcpy(h->oem_id, "KVMLET", 6);
	memcpy(h->oem_table_id, "KVMLETVM", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "KVML", 4);
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = checksum(h, len);
}

static u32 build_dsdt(struct builder *b, struct vm *vm)
{
	static u8 body[FIRMWARE_END - FIRMWARE_START];
	size_t len = aml_dsdt(vm, SLP_TYPE_S5, body, sizeof(body));
	struct sdt_header *h;
	u32 at = place(b, sizeof(*h) + len, &h);

	memcpy(h + 1, body, len);
	finish(h, "DSDT", 2, sizeof(*h) + len);
	return at;
}

static u32 build_facs(struct builder *b)
{
	struct facs *f;
	u32 at = place(b, sizeof(*f), &f);

	memcpy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	f->version = 2;
	return at;
}

static struct gas port(u64 address, u8 bits, u8 access)
{
	return (struct gas) {
		.space = SPACE_IO, .bit_width = bits, .access = access, .address = address,
	};
}

static u32 build_fadt(struct builder *b, struct vm *vm)
{
	u32 dsdt = build_dsdt(b, vm), facs = build_facs(b), at;
	struct fadt *f;

	at = place(b, sizeof(*f), &f);
	*f = (struct fadt) {
		/* Only the old field for each: a guest warns when both are there. */
		.facs = facs,
		.x_dsdt = dsdt,
		.dsdt = dsdt,
		.sci_irq = IRQ_SCI,
		.pm1a_event = PM1_BASE,
		.pm1a_control = PM1_BASE + PM1_CONTROL,
		.pm1_event_len = PM1_EVENT_LEN,
		.pm1_control_len = PM1_LEN - PM1_CONTROL,
		.x_pm1a_event = port(PM1_BASE, PM1_EVENT_LEN * 8, ACCESS_WORD),
		.x_pm1a_control = port(PM1_BASE + PM1_CONTROL, 16, ACCESS_WORD),
		.c2_latency = 0xffff,
		.c3_latency = 0xffff,
		.century = 0x32,
		.boot_flags = FADT_ARCH_LEGACY | FADT_ARCH_NO_VGA | FADT_ARCH_NO_ASPM,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
			 FADT_NO_FIXED_RTC | FADT_RESET_REGISTER,
		.reset_register = port(RESET_PORT, 8, ACCESS_BYTE),
		.reset_value = RESET_VALUE,
		.minor_revision = 1,
	};
	finish(&f->header, "FACP", 5, sizeof(*f));
	return at;
}

/* Entries of the MADT, by the type in their first byte. */
struct madt_lapic {
	u8 type, length, uid, apic_id;
	u32 flags;
} __packed;

/* The same for an id that one byte cannot hold, or the one that means all. */
struct madt_x2apic {
	u8 type, length, reserved[2];
	u32 apic_id, flags, uid;
} __packed;

struct madt_ioapic {
	u8 type, length, id, reserved;
	u32 address, gsi_base;
} __packed;

struct madt_override {
	u8 type, length, bus, source;
	u32 gsi;
	u16 flags;
} __packed;

struct madt_nmi {
	u8 type, length, uid;
	u16 flags;
	u8 lint;
} __packed;

struct madt_x2apic_nmi {
	u8 type, length;
	u16 flags;
	u32 uid;
	u8 lint, reserved[3];
} __packed;

static u8 *madt_processor(u8 *p, u32 id)
{
	const struct madt_lapic lapic = {
		.length = sizeof(lapic), .uid = (u8)id, .apic_id = (u8)id, .flags = 1,
	};
	const struct madt_x2apic x2apic = {
		.type = 9, .length = sizeof(x2apic), .uid = id, .apic_id = id, .flags = 1,
	};

	return id < XAPIC_IDS ? mempcpy(p, &lapic, sizeof(lapic)) :
				mempcpy(p, &x2apic, sizeof(x2apic));
}

static u32 build_madt(struct builder *b, unsigned int nr_cpus)
{
	/* Interrupt 0 needs no override: KVM's default routing has the PIT at IOAPIC pin 0. */
	const struct madt_ioapic ioapic = {
		.type = 1, .length = sizeof(ioapic), .address = IOAPIC_ADDR,
	};
	const struct madt_override sci = {
		.type = 2, .length = sizeof(sci), .source = IRQ_SCI, .gsi = IRQ_SCI,
		.flags = 0x000d,	/* level, active high */
	};
	const struct madt_nmi nmi = {
		.type = 4, .length = sizeof(nmi), .uid = 0xff, .lint = 1,
	};
	const struct madt_x2apic_nmi x2apic_nmi = {
		.type = 10, .length = sizeof(x2apic_nmi), .uid = ~0u, .lint = 1,
	};
	u32 large = nr_cpus > XAPIC_IDS ? nr_cpus - XAPIC_IDS : 0;
	size_t len = sizeof(struct sdt_header) + 8 + sizeof(ioapic) + sizeof(sci) + sizeof(nmi) +
		     (nr_cpus - large) * sizeof(struct madt_lapic) +
		     large * sizeof(struct madt_x2apic) + (large ? sizeof(x2apic_nmi) : 0);
	const u32 fixed[2] = { LAPIC_ADDR, MADT_PC_COMPATIBLE };
	struct sdt_header *h;
	u32 at = place(b, len, &h);
	u8 *p = (u8 *)(h + 1);

	p = mempcpy(p, fixed, sizeof(fixed));
	for (u32 i = 0; i < nr_cpus; i++)
		p = madt_processor(p, i);
	p = mempcpy(p, &ioapic, sizeof(ioapic));
	p = mempcpy(p, &sci, sizeof(sci));
	p = mempcpy(p, &nmi, sizeof(nmi));
	if (large)
		memcpy(p, &x2apic_nmi, sizeof(x2apic_nmi));
	finish(h, "APIC", 3, len);
	return at;
}

static void build_tables(struct vm *vm)
{
	struct builder b = { .base = vm_ram(vm, FIRMWARE_START, FIRMWARE_END - FIRMWARE_START) };
	u32 table[2], rsdt, xsdt;
	struct sdt_header *h;
	struct rsdp *rsdp;

	/* The RSDP comes first, where boot_params.acpi_rsdp_addr and a scan expect it. */
	place(&b, sizeof(*rsdp), &rsdp);
	table[0] = build_fadt(&b, vm);
	table[1] = build_madt(&b, vm->nr_vcpus);
	rsdt = place(&b, sizeof(*h) + sizeof(table), &h);
	memcpy(h + 1, table, sizeof(table));
	finish(h, "RSDT", 1, sizeof(*h) + sizeof(table));
	xsdt = place(&b, sizeof(*h) + 2 * sizeof(u64), &h);
	for (unsigned int i = 0; i < 2; i++)
		memcpy((u8 *)(h + 1) + i * sizeof(u64), &(u64) { table[i] }, sizeof(u64));
	finish(h, "XSDT", 1, sizeof(*h) + 2 * sizeof(u64));
	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "KVMLET", 6);
	rsdp->revision = 2;
	rsdp->rsdt = rsdt;
	rsdp->xsdt = xsdt;
	rsdp->length = sizeof(*rsdp);
	rsdp->checksum = checksum(rsdp, 20);
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

/**
 * struct pm1 - the PM1a register block, seen by single bytes
 * @vm: the VM
 * @byte: enable bits keep what is written, as guests check; no fixed event ever sets a status bit
 */
struct pm1 {
	struct vm *vm;
	atomic_uchar byte[PM1_LEN];
};

static u32 pm1_read(void *dev, u32 off, unsigned int size)
{
	struct pm1 *pm1 = dev;

	(void)size;
	return atomic_load(&pm1->byte[off]) | (off == PM1_CONTROL ? CONTROL_SCI_EN : 0);
}

static void pm1_write(void *dev, u32 off, unsigned int size, u32 val)
{
	struct pm1 *pm1 = dev;

	(void)size;
	if (off < PM1_ENABLE)
		return;
	if (off == PM1_CONTROL + 1 && val & CONTROL_SLP_EN) {
		if (SLP_TYPE(val) == SLP_TYPE_S5)
			vm_stop(pm1->vm, STOP_POWEROFF, 0);
		val &= ~CONTROL_SLP_EN;
	}
	atomic_store(&pm1->byte[off], (unsigned char)val);
}

void acpi_create(struct vm *vm)
{
	static struct pm1 pm1;

	build_tables(vm);
	pm1.vm = vm;
	io_register(&vm->ports, &(struct io_region) {
		.base = PM1_BASE, .len = PM1_LEN, .name = "ACPI PM1", .dev = &pm1,
		.read = pm1_read, .write = pm1_write,
	});
}
