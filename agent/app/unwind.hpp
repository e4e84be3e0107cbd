// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a function if the scope is left by an exception or early, unless dismissed.
#pragma once

namespace mcipsec::app {

template <typename F>
class Unwind {
public:
    explicit Unwind(const F &f) : f_(f) {}
    ~Unwind()
    {
        if (armed_)
            f_();
    }
    Unwind(const Unwind &) = delete;
    Unwind &operator=(const Unwind &) = delete;
    void dismiss() { armed_ = false; }

private:
    const F &f_;
    bool armed_ = true;
};

}  // namespace mcipsec::app
