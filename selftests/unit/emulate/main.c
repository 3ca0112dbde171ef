// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the emulator's unit tests and reports in KTAP.
 * It must not go on when the ground the tests stand on cannot be laid.
 */
#include "harness.h"

struct ktap ktap;

int main(void)
{
	ktap_begin();
	guest_tables_init();
	if (!memory_init() || !native_init()) {
		puts("Bail out! cannot map the test's memory or catch its signals");
		return 1;
	}
	test_cost();
	test_real_mode();
	test_task();
	test_system();
	test_far();
	test_restart();
	test_long_mode();
	test_vector();
	test_strings();
	test_legacy();
	test_segments();
	test_fuzz();
	return ktap_end();
}
