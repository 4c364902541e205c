// Package sim stands for many agents at once, for measuring and for tests: step
// 7 of a run without step 8. Each simulated agent is a real agentlink.Link with
// an instance of its own, so that the service sees what it would see of as many
// hosts: registrations, role tokens, heartbeats, pings, websockets, job
// acknowledgements and replies, in the form in which package agent sends them.
// But nothing is ever executed, and nothing is kept on disk but who the
// instances are. cmd/ssmrun-sim calls Main; tests call New and Run. It calls
// packages agentlink and wire.
//
// What one does with a job:
//
//	command   acknowledged (200), InProgress told, then the result told and repeated until it is acknowledged
//	known     acknowledged as a duplicate (51405), counted, its result told again
//	cancel    acknowledged; a command that has no result yet is told as Cancelled
//
// What an agent would keep in its journal is here in memory: a simulator that is
// started anew does not know what it answered before.
package sim
