// SPDX-License-Identifier: GPL-2.0-or-later
// mcipsec: the command line of multi-chassis IPsec. See mcipsec(1).
#include <signal.h>
#include <unistd.h>

#include <iostream>

#include "cli/run.hpp"

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);       // a closed pipe shows as a failed write
    mcipsec::cli::Context context{std::cout, std::cerr, std::cin};
    context.terminal = isatty(STDIN_FILENO) != 0;
    context.root = geteuid() == 0;
    return mcipsec::cli::run(std::vector<std::string>(argv + 1, argv + argc), context);
}
