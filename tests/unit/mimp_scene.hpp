// SPDX-License-Identifier: GPL-2.0-or-later
// Where most tests of MIMP sessions begin: two nodes, elected.
#pragma once

#include "sim/mimp_world.hpp"
#include "unit/cmocka_cpp.hpp"

namespace mcipsec::mimp {

inline World running()
{
    World w;
    w.boot(0);
    w.boot(1);
    assert_true(w.until([&] { return w.is(Mastership::Master, Mastership::Standby); }, 3s));
    return w;
}

inline World with_bfd()
{
    World w([](Config &c, int) { c.bfd_enable = true; });
    w.boot(0);
    w.boot(1);
    w.run(1s);
    assert_true(w.is(Mastership::Discovery, Mastership::Discovery));        // MIMP alone is not enough
    w.feed(0, BfdUp{});
    w.feed(1, BfdUp{});
    assert_true(w.until([&] { return w.is(Mastership::Master, Mastership::Standby); }, 2s));
    return w;
}

}  // namespace mcipsec::mimp
