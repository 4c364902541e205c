// Package executor is step 8 of the way of a run: a script as a process tree.
// The agent's plugins (step 7) call it; it calls the operating system and
// nothing else of this module.
//
// # What a step is
//
// [Executor.Start] starts one program in a session of its own, with exactly the
// environment it is given and /dev/null as its standard input. The step is over
// when the program has ended and every holder of its stdout and stderr has
// closed them: a background child that keeps stdout keeps the step open. What
// the program left running without holding its output lives on.
//
// After a timeout, [Process.Kill] or the end of the context, the whole tree is
// killed with SIGKILL: children that called setsid and daemons that forked twice
// included. [Process.Wait] returns only when they are gone.
//
// # How a tree is held together
//
//   - Linux, cgroup v2 writable: one cgroup per step below the agent's own, the
//     program born into it, the tree ended through cgroup.kill. What moved itself
//     to another cgroup (su does, through pam_systemd) is found by its ancestry.
//   - Linux otherwise: one supervising process per step, this binary re-executed,
//     that is the reaper of every orphan of the tree (see [SuperviseMain]). Only
//     that process waits for any child; the agent waits for its own children one
//     by one, because a wait for any child steals the exit codes of every other
//     os/exec user in the process.
//   - macOS: when the kill comes, the session, the process group and all that
//     descends from the program, each stopped before any is killed, so that none
//     loses its parent meanwhile. A process that made a session of its own and
//     whose parents in the tree have ended before is not found: nothing leads to
//     it. KillLeftover finds the tree while its first process lives.
//   - Windows: one job object per step, the program born into it. No process can
//     leave it (CREATE_BREAKAWAY_FROM_JOB is refused); one that a service starts
//     on the script's behalf, such as a scheduled task, was never in it.
//   - Other Unix systems: the process group; children that left it survive.
//
// On Unix nothing ties the life of a tree to the agent's: an agent that dies leaves
// the script running (deaf: its output goes nowhere), and the next agent ends it
// with [Executor.KillLeftover] and the [Handle] from its journal. On Windows the
// system ends the tree with the agent: a job object whose last handle is closed has
// no name to be found by any more. The step's result is the same, and nothing runs
// on unwatched until there is a next agent.
//
// # Output
//
// Both streams are read until they end, whatever the [Sink] says, so a script is
// never stopped by the limits of its reader. [Capture] is the sink the plugins
// use: a bounded head in memory, optionally the whole in a file.
package executor
