// Package sqlite is step 5 of a run on one machine: the driver of package
// store that keeps everything in one SQLite file. The daemon opens it; control,
// identity and awsapi call it through store.Store; it calls modernc.org/sqlite.
//
// # How a write becomes durable
//
// One goroutine owns the only connection that writes. It begins a transaction
// for the Update that waits first, lets it run, takes along every other Update
// that waits by then, and commits once for all of them (group commit): one
// fsync serves as many Updates as came while the one before was written, and
// an Update that is alone waits for nobody. Each runs between SAVEPOINT and
// RELEASE, in the goroutine of its own caller, so that an error or a panic
// undoes that one only and a panic's stack is the caller's. None is answered
// before the commit: an answer may rest on what a neighbour wrote.
//
//	caller:  Update ──▶ waits ──▶ fn(Tx) ──▶ waits ───────────▶ answered
//	writer:  BEGIN ─▶ SAVEPOINT ─▶ … ─▶ RELEASE ─▶ (next one) ─▶ COMMIT
//
// A group whose commit fails, or whose transaction SQLite ended by itself (a
// full disk does that), is undone and each of its Updates is run once more
// alone, so that one that is too big for the disk fails alone.
//
// The file is in WAL mode with synchronous=FULL: the commit has called fsync
// on the log, so that what was answered survives kill -9 and, with a disk that
// keeps its promises, a power cut.
//
// # Reads
//
// A View has a connection of its own from a small pool and a transaction, so
// it reads one snapshot, taken at its first read, and neither waits for the
// writer nor makes it wait.
package sqlite
