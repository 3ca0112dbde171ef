// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the tests of the runner's virtio devices.
 * It must not hold a test.
 */
#include "harness.h"

struct ktap ktap;

int main(void)
{
	ktap_begin();
	machine();
	test_registers();
	test_queue();
	test_disk();
	test_hostile();
	return ktap_end();
}
