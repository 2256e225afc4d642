#pragma once

namespace modelforge::test {

/// How slow this machine is just now: the CPU time that a fixed piece of work takes this thread, over what it took
/// where the tests' bounds were set (a quiet core of 2.9 GHz); at least 1. A bound of CPU time that is multiplied by
/// it, measured right beside, holds where cores are shared or slow.
double pace();

} // namespace modelforge::test
