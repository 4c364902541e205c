// Package wire is the words between the service and an agent: the binary frames
// of the control channel and the JSON of everything that travels in them, in
// long polls and in the calls an agent makes for itself.
//
// In the way of a run it belongs to step 6 (gateway, the service's side) and
// step 7 (agentlink, the agent's side); only these two import it. It calls
// nobody and does no I/O: bytes in, structs out, and back. It is the protocol
// of the genuine SSM agent, so either side can be swapped for the genuine one;
// there is no private protocol beside it.
//
// How a command travels, over the control channel:
//
//	service                                         agent
//	  agent_job (SendCommandPayload in Content)  ->
//	                                             <-  agent_job_ack (200, or 51401 and up)
//	                                             <-  agent_job_reply (Reply in Content), at least once
//	  agent_job_reply_ack                        ->
//
// and over long polls: GetMessages answers a Message whose Payload is the same
// Content; the agent calls AcknowledgeMessage and SendReply.
//
// Everything that comes from the far end goes through [Decode] or [Unmarshal],
// which check what the protocol promises; what they return may be used without
// looking again. Everything that goes out goes through [Frame.Encode] or
// [Marshal].
package wire
