package agentlink_test

import (
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/testlog"
	"ssmrun/internal/wire"
)

func command(id string) wire.SendCommandPayload {
	return wire.SendCommandPayload{CommandID: id, DocumentContent: json.RawMessage("{}")}
}

// quick is a Timing for tests of the fallback.
func quick(c *agentlink.Config) {
	c.Timing.Fallback = 20 * time.Millisecond
	c.Timing.Open = 500 * time.Millisecond
	c.Timing.Poll = 20 * time.Millisecond
}

// exchange has a job come and its reply go over polls.
func exchange(t *testing.T, b *bundle, id string, n int) int {
	t.Helper()
	b.srv.Queue(b.srv.Command(command(id)))
	jobID := b.srv.JobID(id)
	if job := receive(t, "job", b.echo.jobs); job.JobID != jobID || !wire.IsTopic(job.Topic, wire.TopicSendCommand) {
		t.Errorf("job: %+v", job)
	}
	e, n := b.srv.WaitKind(wire.OpAcknowledgeMessage, n)
	if e.JobID != jobID {
		t.Errorf("acknowledged %s, want %s", e.JobID, jobID)
	}
	r := reply(jobID, wire.StatusSuccess)
	b.link.Send(r)
	e, n = b.srv.WaitKind(wire.OpSendReply, n)
	if e.MessageID != r.ID.String() || e.JobID != jobID || e.Reply.DocumentStatus != wire.StatusSuccess {
		t.Errorf("reply: %+v", e)
	}
	if able := e.Reply.AdditionalInfo.AbleToOpenMGSConnection; able == nil || *able {
		t.Error("the reply does not say that the control channel is closed")
	}
	if a := receive(t, "acknowledged reply", b.acked); a.ID != r.ID {
		t.Errorf("acked %v", a.ID)
	}
	return n
}

func TestPollsWhileTheChannelDoesNotWork(t *testing.T) {
	t.Parallel()
	for kind, says := range map[string]string{ // the agent's log
		linktest.ChannelDenied:    "CreateControlChannel: the service answered 403 AccessDeniedException",
		linktest.ChannelBusy:      "CreateControlChannel: the service answered 503",
		linktest.ChannelNonsense:  "the control channel cannot be opened",
		linktest.ChannelHangs:     "the control channel cannot be opened",
		linktest.ChannelBlocked:   `open control channel: websocket: the service answered 403"`,
		linktest.ChannelRefused:   "websocket: the service answered 403 AccessDeniedException: For instance i: there is no such instance.",
		linktest.ChannelShort:     "the control channel was cut",
		linktest.ChannelNoUpgrade: "open control channel: websocket: the service answered 200",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
				quick(c)
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				s.Channel = kind
			})
			e, n := b.srv.Wait("heartbeat", 0, func(e linktest.Event) bool {
				return e.Kind == wire.OpUpdateInstanceInformation && e.Info.SSMConnectionChannel != ""
			})
			if e.Info.SSMConnectionChannel != wire.ChannelLongPoll {
				t.Errorf("heartbeat tells channel %q", e.Info.SSMConnectionChannel)
			}
			n = exchange(t, b, "one", n)
			// On a slow machine messages are polled for before the channel has failed.
			late := time.After(linktest.Deadline)
			for !strings.Contains(log.String(), says) {
				select {
				case <-time.After(time.Millisecond):
				case <-late:
					t.Fatalf("the log has nothing of %q:\n%s", says, &log)
				}
			}
			if kind != linktest.ChannelShort && b.link.Status().Channel != agentlink.ServiceLongPoll {
				t.Errorf("status %+v", b.link.Status())
			}
			if left := b.link.Flush(t.Context()); left != 0 {
				t.Errorf("%d replies left", left)
			}
			// The channel opens again: it takes over, and says so.
			b.srv.Set(func(s *linktest.Settings) { s.Channel = "" })
			_, after := b.srv.WaitKind("open", n)
			b.srv.Wait("heartbeat over the channel", n, func(e linktest.Event) bool {
				return e.Kind == wire.OpUpdateInstanceInformation && e.Info.SSMConnectionChannel == wire.ChannelMessages
			})
			if st := b.link.Status(); !st.Connected || st.Channel != agentlink.ServiceMessages {
				t.Errorf("status %+v", st)
			}
			n = after
			job := b.srv.SendCommand(command("two"))
			b.srv.WaitAck(job, n)
			receive(t, "job", b.echo.jobs)
			r := reply(job, wire.StatusSuccess)
			b.link.Send(r)
			if e, _ := b.srv.WaitFinal(job, n); e.Kind != wire.TypeAgentJobReply {
				t.Errorf("the reply came as %s", e.Kind)
			}
		})
	}
}

// TestLastPollBringsAMessage: the poll that is under way when the channel opens
// is not cut; what it brings is taken and acknowledged, and no other follows.
func TestLastPollBringsAMessage(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		s.Channel = linktest.ChannelBlocked
	})
	_, n := b.srv.WaitKind(wire.OpGetMessages, 0)
	b.srv.Set(func(s *linktest.Settings) { s.Channel = "" })
	b.srv.WaitKind("open", n)
	// From then on the agent knows of it, and replies go over the channel.
	_, n = b.srv.Wait("a heartbeat that tells of the channel", n, func(e linktest.Event) bool {
		return e.Kind == wire.OpUpdateInstanceInformation && e.Info.SSMConnectionChannel == wire.ChannelMessages
	})
	b.srv.Queue(b.srv.Command(command("late")))
	if e, _ := b.srv.WaitKind(wire.OpAcknowledgeMessage, n); e.JobID != b.srv.JobID("late") || b.srv.Waiting() != 0 {
		t.Errorf("acknowledged %+v, %d messages wait", e, b.srv.Waiting())
	}
	receive(t, "job", b.echo.jobs)
	r := reply(b.srv.JobID("late"), wire.StatusSuccess)
	b.link.Send(r)
	if e, _ := b.srv.WaitFinal(b.srv.JobID("late"), n); e.Kind != wire.TypeAgentJobReply {
		t.Errorf("the reply came as %s", e.Kind)
	}
	for _, e := range b.srv.Events()[n:] {
		if e.Kind == wire.OpGetMessages {
			t.Error("a poll was made while the channel was open")
		}
	}
}

// TestPollsAtAnotherPlace: only the control channel's host is away.
func TestPollsAtAnotherPlace(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := "https://" + l.Addr().String()
	l.Close()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		url := s.URL()
		c.Endpoints = func(service string) (string, error) {
			if service == agentlink.ServiceMessages {
				return away, nil
			}
			return url, nil
		}
	})
	exchange(t, b, "one", 0)
}

// TestServiceAwayIsNotPolled: a service that is away altogether gets one call at
// a time, not two.
func TestServiceAwayIsNotPolled(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, n := b.srv.WaitKind("open", 0)
	for range 2 {
		b.srv.Stop()
		_, n = b.srv.WaitKind("close", n)
		b.srv.Start()
		_, n = b.srv.WaitKind("open", n)
	}
	for _, e := range b.srv.Events() {
		if strings.HasSuffix(e.Kind, wire.OpGetMessages) {
			t.Error("messages were polled for")
		}
	}
}

func TestMessagesThatAreNotTaken(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		s.Channel, s.Visibility = linktest.ChannelBlocked, 50*time.Millisecond
	})
	// Known already: acknowledged.
	b.echo.set(wire.AckDuplicateCommand)
	b.srv.Queue(b.srv.Command(command("known")))
	waitFor := func(kind, id string) {
		t.Helper()
		b.srv.Wait(kind+" of "+id, 0, func(e linktest.Event) bool { return e.Kind == kind && e.JobID == id })
	}
	waitFor(wire.OpAcknowledgeMessage, b.srv.JobID("known"))
	// No room: left alone until there is some; nobody loops meanwhile.
	b.echo.set(wire.AckBufferFull)
	b.srv.Queue(b.srv.Command(command("full")))
	for shown := 0; shown < 3; {
		if receive(t, "job", b.echo.jobs).JobID == b.srv.JobID("full") {
			shown++
		}
	}
	for _, e := range b.srv.Events() {
		if e.JobID == b.srv.JobID("full") {
			t.Errorf("said something of a message that there is no room for: %+v", e)
		}
	}
	b.echo.set(wire.AckOK)
	waitFor(wire.OpAcknowledgeMessage, b.srv.JobID("full"))
	// What makes no sense is failed, once, and costs no other.
	b.echo.set(wire.AckParseError)
	wrong := b.srv.Command(command("wrong"))
	other := b.srv.Command(command("other"))
	other.Destination, other.MessageID = "i-00000000000000000", "aws.ssm.other.i-00000000000000000"
	b.srv.Queue(wrong, other)
	b.srv.QueueRaw("no-topic", `{"MessageId":"no-topic","Payload":"{}"}`)
	b.srv.QueueRaw("no-object", `[1]`)
	for _, id := range []string{wrong.MessageID, other.MessageID, "no-topic"} {
		waitFor(wire.OpFailMessage, id)
	}
	b.echo.set(wire.AckOK)
	b.srv.Queue(b.srv.Command(command("good")))
	waitFor(wire.OpAcknowledgeMessage, b.srv.JobID("good"))
}

// TestPollsPause: however a service answers, polls do not follow each other
// without a pause.
func TestPollsPause(t *testing.T) {
	t.Parallel()
	// A tenth of the bound, less what a busy machine may bring the second one
	// nearer to the first.
	const bound, least = 200 * time.Millisecond, 10 * time.Millisecond
	for name, change := range map[string]func(*linktest.Server){
		"empty":    func(s *linktest.Server) { s.PollAtOnce = true },
		"nonsense": func(s *linktest.Server) { s.PollAnswer = `{"Messages":"none"}` },
		"cut":      func(s *linktest.Server) { s.PollAnswer = `{"Messages":[{"MessageId":` },
		"oversize": func(s *linktest.Server) { s.PollAnswer = strings.Repeat(" ", wire.MaxPayloadBytes+1) + "{}" },
		"replayed": func(s *linktest.Server) { s.PollAnswer = `{"Messages":[{"MessageId":"m","Topic":"t","Payload":"p"}]}` },
		"refused":  func(s *linktest.Server) { s.PollFail = map[string]int{wire.OpGetMessages: -1} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
				quick(c)
				c.Timing.Poll, c.Timing.BackoffMin, c.Timing.BackoffMax = bound, bound, bound
				s.Channel = linktest.ChannelBlocked
				change(s)
				c.Handler.(*echo).code = wire.AckDuplicateCommand
			})
			var last time.Time
			for range 5 {
				e, _ := b.srv.Wait("poll", 0, func(e linktest.Event) bool {
					return strings.HasSuffix(e.Kind, wire.OpGetMessages) && e.At.After(last)
				})
				if gap := e.At.Sub(last); gap < least {
					t.Errorf("a poll %v after another", gap)
				}
				last = e.At
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		s.Channel, s.RetryAfter = linktest.ChannelBusy, "1"
	})
	one, n := b.srv.WaitKind("spoilt channel", 0)
	b.srv.Set(func(s *linktest.Settings) { s.Channel = "" })
	if two, _ := b.srv.WaitKind("open", n); two.At.Sub(one.At) < time.Second {
		t.Errorf("asked again after %v, although the service said 1 s", two.At.Sub(one.At))
	}
}

// TestPollRepliesAreRepeated: a reply whose call was not answered is sent again
// under its id, and one that fails holds up no other for long.
func TestPollRepliesAreRepeated(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		c.Timing.ResendMin, c.Timing.ResendMax = 10*time.Millisecond, 20*time.Millisecond
		s.Channel, s.LoseReplyAnswer = linktest.ChannelBlocked, true
		s.PollFail = map[string]int{wire.OpSendReply: 2}
	})
	r := reply(b.srv.JobID("c"), wire.StatusSuccess)
	b.srv.WaitKind(wire.OpGetMessages, 0)
	b.link.Send(r)
	n := 0
	for range 2 {
		var e linktest.Event
		if e, n = b.srv.WaitKind(wire.OpSendReply, n); e.MessageID != r.ID.String() {
			t.Errorf("sent as %s, want %s", e.MessageID, r.ID)
		}
	}
	b.srv.Set(func(s *linktest.Settings) { s.LoseReplyAnswer = false })
	receive(t, "acknowledged reply", b.acked)
}

// TestLargestReplyByBothChannels: what the shrinking leaves goes through either.
func TestLargestReplyByBothChannels(t *testing.T) {
	t.Parallel()
	nuls := strings.Repeat("\x00\n", 30_000)
	packed, err := wire.NewAgentJobReply("aws.ssm.c.i-0123456789abcdef0", wire.TopicSendCommand, wire.Reply{
		DocumentStatus: wire.StatusSuccess,
		RuntimeStatus:  map[string]wire.PluginStatus{"run": {Status: wire.StatusSuccess, StandardOutput: nuls, StandardError: nuls}},
	})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := wire.Marshal(packed)
	if err != nil {
		t.Fatal(err)
	}
	var content wire.Reply
	if err := wire.Unmarshal([]byte(packed.Content), &content); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"", linktest.ChannelBlocked} {
		b := setup(t, func(c *agentlink.Config, s *linktest.Server) { quick(c); s.Channel = kind })
		r := reply(packed.JobID, wire.StatusSuccess)
		r.Payload = payload
		b.link.Send(r)
		e, _ := b.srv.WaitFinal(packed.JobID, 0)
		if e.Reply.RuntimeStatus["run"] != content.RuntimeStatus["run"] {
			t.Error("the output changed on its way")
		}
		if e.Size < wire.MaxReplyBytes*9/10 || e.Size > wire.MaxReplyBytes+100 {
			t.Errorf("channel %q: %d bytes on the wire", kind, e.Size)
		}
		receive(t, "acknowledged reply", b.acked)
	}
}

// TestDeniedIsSaidOnce: one line at the level of errors says what to do.
func TestDeniedIsSaidOnce(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.Deny = true
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	n := 0
	for range 5 {
		_, n = b.srv.WaitKind("refused "+wire.OpRequestManagedInstanceRoleToken, n)
	}
	b.stop()
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "remove registration.json") {
		t.Errorf("log:\n%s", got)
	}
}

// TestHeldUntilThereIsRoom: a message that there is no room for is taken as soon
// as there is some, not only when the service shows it again.
func TestHeldUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		quick(c)
		c.Timing.Visibility = time.Hour
		s.Channel, s.Visibility = linktest.ChannelBlocked, time.Hour
	})
	b.echo.set(wire.AckBufferFull)
	b.srv.Queue(b.srv.Command(command("one")), b.srv.Command(command("two")))
	for range 3 { // the first is offered again, and the second not before it
		receive(t, "job", b.echo.jobs)
	}
	b.echo.set(wire.AckOK)
	for _, id := range []string{"one", "two"} {
		b.srv.Wait("acknowledgement of "+id, 0, func(e linktest.Event) bool {
			return e.Kind == wire.OpAcknowledgeMessage && e.JobID == b.srv.JobID(id)
		})
	}
}

// TestRoomForRefusedReplies: results that find no room are asked for again, and
// all arrive, over either channel.
func TestRoomForRefusedReplies(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", linktest.ChannelBlocked} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const count = 1200
			var all []agentlink.Reply
			acked := make(map[string]bool)
			done := make(chan struct{})
			var b *bundle
			ready := make(chan struct{})
			b = setup(t, func(c *agentlink.Config, s *linktest.Server) {
				quick(c)
				s.Channel = kind
				c.Timing.BackoffMin = time.Millisecond
				c.Logger = slog.New(slog.DiscardHandler)
				c.Acked = func(r agentlink.Reply) {
					if acked[r.ID.String()] = true; len(acked) == count {
						close(done)
					}
				}
				c.Room = func() {
					<-ready
					for _, r := range all {
						if !acked[r.ID.String()] {
							b.link.Send(r)
						}
					}
				}
			})
			b.srv.Set(func(s *linktest.Settings) { s.NoReplyAck = true })
			for range count {
				all = append(all, reply(b.srv.JobID("c"), wire.StatusSuccess))
			}
			for _, r := range all {
				b.link.Send(r)
			}
			close(ready)
			b.srv.Set(func(s *linktest.Settings) { s.NoReplyAck = false })
			b.srv.Cut()
			receive(t, "all acknowledgements", done)
		})
	}
}
