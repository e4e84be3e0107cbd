/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plugin reads the version of the running strongSwan from the constants of
 * the library that a function is in. Here that library is this program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <dlfcn.h>

#include <cmocka.h>

#include "mcipsec_running.h"

/* what must not be taken for a version precedes it */
const char decoy[] = "1.2\0" "1.2.3.4\0" "a1.2.3\0" "1..2.3\0" "1.2.\0" "1.2.3-4";
const char *volatile version_string = "47.11.8rc3";

static void finds_version(void **state)
{
	char version[32];

	(void)state;
	assert_string_not_equal(decoy, version_string);
	assert_true(mcipsec_running_version((void*)finds_version, version,
										sizeof(version)));
	assert_string_equal(version, "47.11.8rc3");
}

static void version_does_not_fit(void **state)
{
	char version[6];

	(void)state;
	assert_false(mcipsec_running_version((void*)finds_version, version,
										 sizeof(version)));
}

static void unknown_address(void **state)
{
	char version[32];

	(void)state;
	assert_false(mcipsec_running_version((void*)16, version, sizeof(version)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_version),
		cmocka_unit_test(version_does_not_fit),
		cmocka_unit_test(unknown_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
