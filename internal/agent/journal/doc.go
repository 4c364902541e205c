// Package journal is part of step 7 of a run: what the agent remembers on disk
// of the commands it took. It is what makes a command run at most once, and
// what carries replies over an outage of the service or a restart of the agent.
// Package agent calls it; it calls only the file system.
//
// One file per command, named by the command's id, grows by one line per event
// and is synced before the event is acted on: accepted (before the service is
// told so; where the command begins at once, together with that), step begins (before the script starts, with the process tree that
// will run it, so that a restarted agent can end it), replies (before they are
// sent), cancelled, acknowledged. A line is eight hexadecimal digits of CRC-32,
// a space and a JSON object.
//
// A new file costs several times what a line costs to be made durable, so the
// next one (spare-N) is made ahead, while nobody waits, and only renamed when a
// command takes it. Its first line names the command: a rename that a power cut
// undoes loses nothing.
//
//	(none) --Accept--> accepted --Begin--> begun --final reply--> finished --all acknowledged--> compacted --24 h--> (removed)
//
// A damaged file never makes a command unknown: it is set aside, and the
// command counts as begun with an unknown outcome, because running it again
// would be worse than reporting it failed.
package journal
