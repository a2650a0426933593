/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka wants these before itself. */
#ifndef TW_TESTS_UNIT_TEST_H
#define TW_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
