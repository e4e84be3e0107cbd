// SPDX-License-Identifier: GPL-2.0-or-later
// cmocka from C++: its header wants these first.
#pragma once

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" {
#include <cmocka.h>
}
#undef fail  // cmocka's macro hides mcipsec::fail
