// Package agentlink is the first half of step 7 of a run: an agent's connection
// to its service. It registers an instance with an activation, proves itself
// with the key it registered, renews its temporary keys, sends heartbeats, keeps
// the control channel open, hands jobs to its Handler and repeats replies until
// they are acknowledged. Package agent calls it to run documents, and a
// simulator may call it to stand for many agents; it calls package wire for
// frames and payloads and package sigv4 to sign.
//
// One Link is one instance. What a session does, in order:
//
//	endpoint        read anew before every session: the service may have moved
//	role token      RequestManagedInstanceRoleToken, signed with the registered key (RSA-PSS); again at half life
//	heartbeat       UpdateInstanceInformation, at start and every five minutes
//	control channel CreateControlChannel (POST, 201), websocket, OpenControlChannel (text frame), then binary frames
//
// A session that ends is followed by another after a pause with jitter, for as
// long as Run's context lives. While the channel cannot be opened, a poller takes
// its place (poll.go, pollsend.go): GetMessages brings jobs to the same Handler,
// and what the outbox holds goes out by SendReply, AcknowledgeMessage and
// FailMessage. run.go decides which it is. Nothing here is kept on disk: the
// caller makes a reply durable before Send, and sends it again after a restart, or
// when Config.Room says that the outbox, which is bounded, takes more.
package agentlink
