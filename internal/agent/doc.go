// Package agent is step 7 of a run: the agent on the host. It registers the
// instance, takes commands from its service, goes through the steps of their
// documents, runs each step's plugin, and reports; over restarts of the service,
// of itself and of the machine. cmd/ssmrun-agent and `ssmrun agent` call Main;
// tests call New and Run. It calls agentlink for the connection, document to
// read what it is sent, plugin/… to run steps, journal and state to keep on disk
// what must not be lost, and executor through the plugins.
//
// What becomes of a command:
//
//	job ──► refused (51408 unreadable, 51402 full, 51401 stopping, 51405 known: its last word is sent again)
//	 │
//	 ▼ journal: accepted, then ack 200
//	queued ──cancel──► Cancelled
//	 │ a worker is free; reply InProgress
//	 ▼
//	step by step: journal: begins ──► plugin ──► output to S3 ──► journal + reply: result
//	 │
//	 ▼
//	final reply, repeated until the service acknowledged it
//
// A step that began is never begun again. After a restart whatever is left of it
// is killed, and it is reported as failed; a command of which no step had begun
// waits its turn once more.
package agent
