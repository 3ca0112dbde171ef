/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Brings in kselftest's harness with a time bound that suits an emulated machine.
 * Must not define tests or touch the device under test.
 */
#ifndef SELFTESTS_LIB_KTAP_H
#define SELFTESTS_LIB_KTAP_H

#include <kselftest_harness.h>

/* Seconds of the machine that runs the test; the emulated one counts 100 million instructions. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 10

/* The two outcomes every ioctl test asks for; errno is what the message should show. */
#define EXPECT_OK(call) EXPECT_EQ(0, tvm_err(call))
#define ASSERT_OK(call) ASSERT_EQ(0, tvm_err(call))
#define EXPECT_ERR(error, call) EXPECT_EQ(error, tvm_err(call))
#define ASSERT_ERR(error, call) ASSERT_EQ(error, tvm_err(call))

#endif
