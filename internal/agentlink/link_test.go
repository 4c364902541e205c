package agentlink_test

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/agentlink/linktest"
	"ssmrun/internal/wire"
)

// testKey is made once: a key takes a tenth of a second.
var testKey = sync.OnceValue(func() agentlink.Identity {
	id, err := agentlink.NewIdentity("us-east-1")
	if err != nil {
		panic(err)
	}
	return id
})

// echo acknowledges jobs and remembers them.
type echo struct {
	jobs chan wire.AgentJob

	mu   sync.Mutex
	code string
}

func (e *echo) set(code string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.code = code
}

func (e *echo) HandleJob(job wire.AgentJob, ack func(string, string)) {
	e.mu.Lock()
	code := e.code
	e.mu.Unlock()
	ack(code, "Successful")
	select {
	case e.jobs <- job:
	default: // nobody wants to know
	}
}

type bundle struct {
	srv   *linktest.Server
	link  *agentlink.Link
	echo  *echo
	acked chan agentlink.Reply
	saved chan agentlink.Identity
	stop  func()
}

// setup runs a link against a server that knows it.
func setup(t *testing.T, change func(*agentlink.Config, *linktest.Server)) *bundle {
	t.Helper()
	b := &bundle{
		srv: linktest.New(t), echo: &echo{jobs: make(chan wire.AgentJob, 100), code: wire.AckOK},
		acked: make(chan agentlink.Reply, 100), saved: make(chan agentlink.Identity, 100),
	}
	id := testKey()
	id.InstanceID = b.srv.InstanceID
	b.srv.Know(id.Fingerprint, &id.Key.PublicKey)
	cfg := agentlink.Config{
		Identity: id, Endpoint: agentlink.FixedEndpoint(b.srv.URL()), Handler: b.echo, Seed: 1,
		Acked: func(r agentlink.Reply) { b.acked <- r },
		Info: func() agentlink.Info {
			return agentlink.Info{AgentName: "test", AgentVersion: "1", PlatformType: "Linux", ComputerName: "host"}
		},
		SaveIdentity: func(i agentlink.Identity) error { b.saved <- i; return nil },
		Timing:       agentlink.Timing{BackoffMin: 20 * time.Millisecond, BackoffMax: 50 * time.Millisecond, DeniedMax: 60 * time.Millisecond},
		Logger:       slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg, b.srv)
	}
	b.link = agentlink.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { b.link.Run(ctx) })
	b.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(b.stop)
	return b
}

var errDisk = errors.New("the disk is full")

// run runs another link for the bundle's instance, with another identity, until
// the function it gives is called, which tells what was saved last.
func run(t *testing.T, b *bundle, id agentlink.Identity) func() *agentlink.Identity {
	t.Helper()
	var saved *agentlink.Identity
	l := agentlink.New(agentlink.Config{
		Identity: id, Endpoint: agentlink.FixedEndpoint(b.srv.URL()), Handler: b.echo,
		Info:         func() agentlink.Info { return agentlink.Info{} },
		SaveIdentity: func(i agentlink.Identity) error { saved = &i; return nil },
		Timing:       agentlink.Timing{BackoffMin: 20 * time.Millisecond, BackoffMax: 50 * time.Millisecond, DeniedMax: 60 * time.Millisecond},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	stop := func() *agentlink.Identity { cancel(); wg.Wait(); return saved }
	t.Cleanup(func() { stop() })
	return stop
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(linktest.Deadline):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func reply(jobID, status string) agentlink.Reply {
	packed, err := wire.NewAgentJobReply(jobID, wire.TopicSendCommand, wire.Reply{DocumentStatus: status})
	if err != nil {
		panic(err)
	}
	b, err := wire.Marshal(packed)
	if err != nil {
		panic(err)
	}
	return agentlink.Reply{ID: uuid.New(), Payload: b, Tracked: true}
}

func TestJobAckReplyAndGoodbye(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, n := b.srv.WaitKind("open", 0)
	if first := b.srv.Events()[:2]; first[0].Kind != wire.OpRequestManagedInstanceRoleToken || first[1].Info.ComputerName != "host" || first[1].Info.AgentStatus != "Active" {
		t.Errorf("first calls: %+v", first)
	}
	jobID := b.srv.SendCommand(wire.SendCommandPayload{CommandID: "c1", DocumentContent: json.RawMessage("{}")})
	ack, n := b.srv.WaitAck(jobID, n)
	if ack.Ack.StatusCode != wire.AckOK || ack.Ack.AcknowledgedMessageID == "" || ack.Ack.CreatedDate == "" {
		t.Errorf("ack: %+v", ack.Ack)
	}
	if job := receive(t, "job", b.echo.jobs); job.JobID != jobID || !wire.IsTopic(job.Topic, wire.TopicSendCommand) {
		t.Errorf("job: %+v", job)
	}
	r := reply(jobID, wire.StatusSuccess)
	b.link.Send(r)
	got, n := b.srv.WaitFinal(jobID, n)
	if got.MessageID != r.ID.String() {
		t.Errorf("reply came as message %s, want %s", got.MessageID, r.ID)
	}
	if a := receive(t, "acknowledged reply", b.acked); a.ID != r.ID {
		t.Errorf("acked %v", a.ID)
	}
	if left := b.link.Flush(t.Context()); left != 0 || !b.link.Status().Connected {
		t.Errorf("%d replies left, status %+v", left, b.link.Status())
	}
	b.stop()
	if end, _ := b.srv.WaitKind("close", n); end.Close != websocket.StatusNormalClosure {
		t.Errorf("the channel was closed with %v", end.Close)
	}
	if b.link.Status().Connected {
		t.Error("still connected after the stop")
	}
}

func TestRepliesSurviveOutagesInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, n := b.srv.WaitKind("open", 0)
	b.srv.Stop()
	_, n = b.srv.WaitKind("close", n)
	one, two := reply(b.srv.JobID("one"), wire.StatusSuccess), reply(b.srv.JobID("two"), wire.StatusSuccess)
	b.link.Send(one)
	b.link.Send(two)
	lost := reply(b.srv.JobID("untracked"), wire.StatusSuccess)
	lost.Tracked = false
	b.link.Send(lost)
	if left := b.link.Flush(t.Context()); left != 2 {
		t.Errorf("Flush without a channel: %d left, want 2 at once", left)
	}
	b.srv.Start()
	_, n = b.srv.WaitKind("open", n)
	first, n := b.srv.Wait("first reply", n, linktest.Event.Final)
	second, _ := b.srv.Wait("second reply", n, linktest.Event.Final)
	if first.JobID != b.srv.JobID("one") || second.JobID != b.srv.JobID("two") {
		t.Errorf("order after the outage: %s, %s", first.JobID, second.JobID)
	}
}

func TestRepliesAreRepeatedUntilAcknowledged(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.NoReplyAck = true
		c.Timing.ResendMin, c.Timing.ResendMax = 10*time.Millisecond, 20*time.Millisecond
	})
	_, n := b.srv.WaitKind("open", 0)
	r := reply(b.srv.JobID("c"), wire.StatusSuccess)
	b.link.Send(r)
	b.link.Send(r) // queued already
	for range 3 {
		var e linktest.Event
		if e, n = b.srv.WaitFinal(b.srv.JobID("c"), n); e.MessageID != r.ID.String() {
			t.Fatalf("repeated as %s, want %s", e.MessageID, r.ID)
		}
	}
	b.srv.Set(func(s *linktest.Settings) { s.NoReplyAck = false })
	receive(t, "acknowledgement", b.acked)
	if b.link.Flush(t.Context()) != 0 {
		t.Error("a reply is still waiting")
	}
}

func TestUnacknowledgedReplyIsRepeatedOnTheNextChannel(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		s.NoReplyAck = true
		c.Timing.ResendMin, c.Timing.ResendMax = time.Hour, time.Hour
	})
	b.srv.WaitKind("open", 0)
	r := reply(b.srv.JobID("c"), wire.StatusSuccess)
	b.link.Send(r)
	_, n := b.srv.WaitFinal(b.srv.JobID("c"), 0)
	b.srv.Cut()
	if e, _ := b.srv.WaitFinal(b.srv.JobID("c"), n); e.Conn != 2 || e.MessageID != r.ID.String() {
		t.Errorf("repeated on channel %d as %s", e.Conn, e.MessageID)
	}
}

func TestReconnectReadsTheEndpointAnew(t *testing.T) {
	t.Parallel()
	other := linktest.New(t)
	id := testKey()
	other.Know(id.Fingerprint, &id.Key.PublicKey)
	var mu sync.Mutex
	var current string
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		current = s.URL()
		c.Endpoint = func() (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if current == "" {
				return "", errors.New("not there")
			}
			return current, nil
		}
	})
	b.srv.WaitKind("open", 0)
	mu.Lock()
	current = ""
	mu.Unlock()
	b.srv.Stop()
	b.srv.WaitKind("close", 0)
	mu.Lock()
	current = other.URL()
	mu.Unlock()
	// The other service has not given the keys that the link still holds.
	e, _ := other.WaitKind("refused channel", 0)
	_ = e
	other.WaitKind("open", 0)
}

func TestRefusedKeysAreRenewedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, _ *linktest.Server) { c.Timing.BackoffMin = 20 * time.Millisecond })
	_, n := b.srv.WaitKind("open", 0)
	b.srv.Forget()
	b.srv.Cut()
	_, n = b.srv.WaitKind("refused channel", n)
	_, n = b.srv.WaitKind(wire.OpRequestManagedInstanceRoleToken, n)
	b.srv.WaitKind("open", n)
}

func TestKeysAreRenewedAtHalfLife(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	offset := time.Duration(0)
	b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(offset) }
	})
	_, n := b.srv.WaitKind("open", 0)
	first, err := b.link.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set := func(d time.Duration) { mu.Lock(); offset = d; mu.Unlock() }
	set(29 * time.Minute)
	if again, err := b.link.Credentials(t.Context()); err != nil || again.AccessKeyID != first.AccessKeyID {
		t.Errorf("keys before half life: %v %v, want %v", again.AccessKeyID, err, first.AccessKeyID)
	}
	set(31 * time.Minute)
	b.srv.Set(func(s *linktest.Settings) { s.ClockOffset = 31 * time.Minute })
	next, err := b.link.Credentials(t.Context())
	if err != nil || next.AccessKeyID == first.AccessKeyID {
		t.Errorf("keys after half life: %v %v", next.AccessKeyID, err)
	}
	if strings.Contains(next.String(), next.SecretAccessKey) {
		t.Error("the secret is printed")
	}
	_ = n
	// With the service away the old keys do until they end, and not after.
	b.srv.Stop()
	set(75 * time.Minute)
	if again, err := b.link.Credentials(t.Context()); err != nil || again.AccessKeyID != next.AccessKeyID {
		t.Errorf("old keys while the service is away: %v %v", again.AccessKeyID, err)
	}
	set(100 * time.Minute)
	if _, err := b.link.Credentials(t.Context()); err == nil {
		t.Error("keys that have ended were given")
	}
}

func TestWrongClockIsSeenThrough(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{time.Hour, -26 * time.Hour} {
		b := setup(t, func(c *agentlink.Config, s *linktest.Server) {
			s.ClockOffset = off
			c.Timing.BackoffMin, c.Timing.BackoffMax = time.Hour, time.Hour // at the first go
		})
		b.srv.WaitKind("open", 0)
	}
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *agentlink.Config, _ *linktest.Server) { c.Timing.Heartbeat = 10 * time.Millisecond })
	e, n := b.srv.WaitKind(wire.OpUpdateInstanceInformation, 0)
	if e.Info.SSMConnectionChannel != "" {
		t.Errorf("channel before it is open: %q", e.Info.SSMConnectionChannel)
	}
	for range 3 {
		e, n = b.srv.WaitKind(wire.OpUpdateInstanceInformation, n)
	}
	if e.Info.SSMConnectionChannel != wire.ChannelMessages || e.Info.InstanceID != b.srv.InstanceID {
		t.Errorf("heartbeat: %+v", e.Info)
	}
}

func TestDeniedInstanceKeepsTrying(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ *agentlink.Config, s *linktest.Server) { s.Deny = true })
	_, n := b.srv.WaitKind("refused "+wire.OpRequestManagedInstanceRoleToken, 0)
	_ = n
	b.srv.Set(func(s *linktest.Settings) { s.Deny = false })
	b.srv.WaitKind("open", 0)
}

func TestKeyPairIsChangedOnDemand(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		b := setup(t, func(_ *agentlink.Config, s *linktest.Server) { s.NewKeys, s.LoseKeyAnswer = true, lose })
		old := testKey()
		_, n := b.srv.WaitKind("open", 0)
		planned := receive(t, "planned key", b.saved)
		if planned.Next == nil || !planned.Key.Equal(old.Key) {
			t.Fatal("the new key was not saved before the service heard of it")
		}
		if lose {
			// The service took the new key, but its answer never came: the next
			// renewal is refused with the old key and succeeds with the new.
			b.srv.Forget()
			b.srv.Cut()
			b.srv.WaitKind("open", n)
		}
		final := receive(t, "changed key", b.saved)
		if final.Next != nil || !final.Key.Equal(planned.Next) {
			t.Fatal("the new key did not take the old one's place")
		}
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	srv := linktest.New(t)
	r := agentlink.Registrar{Endpoint: agentlink.FixedEndpoint(srv.URL())}
	id := testKey()
	if _, err := r.Register(t.Context(), srv.ActivationID, "wrong code that is long enough", id); !agentlink.Permanent(err) || strings.Contains(err.Error(), "wrong code") {
		t.Errorf("wrong code: %v", err)
	}
	got, err := r.Register(t.Context(), srv.ActivationID, srv.ActivationCode, id)
	if err != nil || got.InstanceID != srv.InstanceID || got.Registered.IsZero() {
		t.Fatalf("%+v %v", got.InstanceID, err)
	}
	srv.Stop()
	if _, err := r.Register(t.Context(), srv.ActivationID, srv.ActivationCode, id); err == nil || agentlink.Permanent(err) {
		t.Errorf("service away: %v", err)
	}
}

func TestIdentityJSON(t *testing.T) {
	t.Parallel()
	id := testKey()
	id.InstanceID, id.Next = "i-1", id.Key
	b, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	var got agentlink.Identity
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.InstanceID != id.InstanceID || got.Fingerprint != id.Fingerprint || !got.Key.Equal(id.Key) || !got.Next.Equal(id.Key) {
		t.Errorf("got %+v", got.InstanceID)
	}
	for _, bad := range []string{`{}`, `{"private_key":"AAAA"}`, `[]`, `{"fingerprint":"x","private_key":""}`} {
		if err := json.Unmarshal([]byte(bad), new(agentlink.Identity)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	var _ *rsa.PrivateKey = got.Key
}

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"http://127.0.0.1:8440": "http://127.0.0.1:8440", "https://ssm.lab.test/": "https://ssm.lab.test",
		"wss://h:1": "https://h:1", "ws://h": "http://h",
		"": "", "127.0.0.1:8440": "", "ftp://h": "", "http://": "", "http://u:p@h": "", "http://h/path": "", "http://h?x=1": "", "http://h:port": "",
	} {
		u, err := agentlink.ParseEndpoint(in)
		switch {
		case want == "" && err == nil:
			t.Errorf("ParseEndpoint(%q) = %v, want an error", in, u)
		case want != "" && (err != nil || u.String() != want):
			t.Errorf("ParseEndpoint(%q) = %v %v, want %s", in, u, err, want)
		}
	}
}
