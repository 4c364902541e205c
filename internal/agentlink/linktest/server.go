// Package linktest is the far end for tests of agents: a small service that
// speaks the agent's protocol for real, over HTTP and a websocket, and verifies
// every signature, but decides nothing by itself. A test sends jobs through it
// and waits for what the agent says. It is no part of a run.
package linktest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// Deadline is how long Wait and its kin wait before they fail the test.
const Deadline = 60 * time.Second

// Event is something that an agent did.
type Event struct {
	// Kind is an operation's name, "open" and "close" for the channel, or the
	// type of a frame.
	Kind string
	// JobID is of an acknowledgement or a reply.
	JobID string
	Ack   wire.AgentJobAck // of TypeAgentJobAck
	// Reply is of TypeAgentJobReply, MessageID its frame's id, Topic its topic.
	Reply     wire.Reply
	MessageID string
	Topic     string
	Size      int // bytes of the payload
	Info      wire.UpdateInstanceInformationRequest
	Close     websocket.StatusCode // of "close": -1 without a handshake
	Conn      int                  // which opening of the channel, from 1
	At        time.Time
}

// Server is the service. Change its settings before the agent connects, or with
// Set.
type Server struct {
	// InstanceID is what a registration gets.
	InstanceID string
	// ActivationID and ActivationCode are what a registration needs.
	ActivationID, ActivationCode string
	Settings

	t    testing.TB
	addr string
	http *http.Server

	mu       sync.Mutex
	cond     *sync.Cond
	events   []Event
	key      *rsa.PublicKey
	print    string
	secrets  map[string]string // access key id -> secret
	tokens   map[string]string // access key id -> session token
	channels map[*channel]bool
	opened   int
	s3       map[string]*object
	uploads  map[string]*upload
	queue    []*queued
	secure   *tls.Config // of StartTLS
}

// Settings may be changed while the server runs, with Set.
type Settings struct {
	// NoReplyAck leaves replies unacknowledged.
	NoReplyAck bool
	// NewKeys asks the agent for a new key pair with the next role token.
	NewKeys bool
	// LoseKeyAnswer takes a new key and drops the answer.
	LoseKeyAnswer bool
	// TokenLife is how long role tokens hold; an hour where 0.
	TokenLife time.Duration
	// ClockOffset is how far the service's clock is from the agent's.
	ClockOffset time.Duration
	// Deny refuses everything with AccessDeniedException.
	Deny bool
	// S3Fail makes that many S3 calls answer 500; negative: all.
	S3Fail int
	// S3Redirect, where set, is the region in which the bucket is.
	S3Redirect string
	// S3Hook, where set, sees every signed S3 call before it has an effect, and
	// may take its time. Where it gives true it has answered itself.
	S3Hook func(w http.ResponseWriter, r *http.Request, c S3Call) bool
	// S3Hash keeps digests of objects instead of their bytes.
	S3Hash bool
	// Parameters are the stored parameters; a SecureString's value is shown to
	// who asks for decryption.
	Parameters []wire.Parameter
	// Channel is what is wrong with the control channel: one of the Channel
	// constants; "" for nothing.
	Channel string
	// PollFail makes that many calls of an operation of ec2messages answer 503.
	PollFail map[string]int
	// RetryAfter is what an answer 503 says.
	RetryAfter string
	// PollAtOnce answers polls at once; PollAnswer, where set, with this.
	PollAtOnce bool
	PollAnswer string
	// Visibility is for how long a message is hidden that a poll brought; what the
	// poll asks for where 0.
	Visibility time.Duration
	// LoseReplyAnswer takes a SendReply and drops the answer.
	LoseReplyAnswer bool
	// ParametersFail makes that many GetParameters answer 500.
	ParametersFail int
}

type channel struct {
	conn *websocket.Conn
	n    int
}

// New starts a server on a free port of the loopback; it stops with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		InstanceID: "i-0123456789abcdef0", ActivationID: uuid.NewString(), ActivationCode: "abcdefghijklmnopqrstuvwx",
		t: t, secrets: map[string]string{}, tokens: map[string]string{}, channels: map[*channel]bool{},
		s3: map[string]*object{}, uploads: map[string]*upload{},
	}
	s.cond = sync.NewCond(&s.mu)
	s.addr = "127.0.0.1:0"
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// URL is the server's endpoint. It stays the same over Stop and Start.
func (s *Server) URL() string {
	if s.secure != nil {
		return "https://" + s.addr
	}
	return "http://" + s.addr
}

// Secure starts the server again, at another address, with TLS.
func (s *Server) Secure(c tls.Certificate) {
	s.t.Helper()
	s.Stop()
	s.secure = &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
	s.addr = "127.0.0.1:0"
	s.Start()
}

// Start listens again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if s.secure != nil {
		l = tls.NewListener(l, s.secure)
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	srv := s.http
	go srv.Serve(l) //nolint:errcheck // ends with Stop
}

// Stop cuts every connection, as a service that is killed.
func (s *Server) Stop() {
	_ = s.http.Close()
	s.Cut()
}

// Cut cuts the open channels; the service stays.
func (s *Server) Cut() {
	s.mu.Lock()
	chans := s.channels
	s.channels = map[*channel]bool{}
	s.mu.Unlock()
	for c := range chans {
		_ = c.conn.CloseNow()
	}
}

// Set changes settings.
func (s *Server) Set(f func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.Settings)
}

// Know makes an instance known without a registration.
func (s *Server) Know(fingerprint string, key *rsa.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print, s.key = fingerprint, key
}

// Keys makes keys that speak for the instance without a role token, as a
// service's own do.
func (s *Server) Keys() sigv4.Keys {
	k := sigv4.Keys{AccessKeyID: "AKIA" + rand.Text()[:16], SecretAccessKey: rand.Text()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[k.AccessKeyID] = k.SecretAccessKey
	return k
}

// Forget drops all role tokens that were given.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets, s.tokens = map[string]string{}, map[string]string{}
}

func (s *Server) add(e Event) {
	s.mu.Lock()
	e.At = time.Now()
	s.events = append(s.events, e)
	s.mu.Unlock()
	s.cond.Broadcast()
}

// Events gives what happened so far.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Wait waits until an event matches that is at or after the index from, and
// gives it and the index after it.
func (s *Server) Wait(what string, from int, match func(Event) bool) (Event, int) {
	s.t.Helper()
	var found Event
	s.waitFor(what, func() bool {
		for ; from < len(s.events); from++ {
			if match(s.events[from]) {
				found = s.events[from]
				return true
			}
		}
		return false
	})
	return found, from + 1
}

// waitFor waits until a condition holds, which is looked at after every change.
func (s *Server) waitFor(what string, holds func() bool) {
	s.t.Helper()
	var late bool
	t := time.AfterFunc(Deadline, func() {
		s.mu.Lock()
		late = true
		s.mu.Unlock()
		s.cond.Broadcast()
	})
	defer t.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !holds() {
		if late {
			var all []string
			for _, e := range s.events[max(0, len(s.events)-200):] {
				all = append(all, e.Kind+" "+e.JobID+" "+e.Ack.StatusCode+e.Reply.DocumentStatus)
			}
			s.t.Fatalf("no %s within %v; events:\n%s", what, Deadline, strings.Join(all, "\n"))
		}
		s.cond.Wait()
	}
}

// WaitKind waits for the next event of a kind.
func (s *Server) WaitKind(kind string, from int) (Event, int) {
	s.t.Helper()
	return s.Wait(kind, from, func(e Event) bool { return e.Kind == kind })
}

// WaitAck waits for the acknowledgement of a job.
func (s *Server) WaitAck(jobID string, from int) (Event, int) {
	s.t.Helper()
	return s.Wait("ack of "+jobID, from, func(e Event) bool { return e.Kind == wire.TypeAgentJobAck && e.JobID == jobID })
}

// WaitFinal waits for a reply that ends a command.
func (s *Server) WaitFinal(jobID string, from int) (Event, int) {
	s.t.Helper()
	return s.Wait("final reply of "+jobID, from, func(e Event) bool { return e.JobID == jobID && e.Final() })
}

// Final tells whether the event is a reply that ends a command.
func (e Event) Final() bool {
	return e.told() && e.Topic != wire.TopicCancelCommand && e.Reply.DocumentStatus != wire.StatusInProgress &&
		e.Reply.DocumentStatus != wire.StatusSuccessAndReboot
}

// Send sends a frame on every open channel and gives its message id.
func (s *Server) Send(typ string, payload any) string {
	s.t.Helper()
	f, err := wire.NewFrame(typ, time.Now(), payload)
	if err != nil {
		s.t.Fatal(err)
	}
	s.SendRaw(f.Encode())
	return f.ID.String()
}

// SendRaw sends any bytes on every open channel.
func (s *Server) SendRaw(b []byte) {
	s.t.Helper()
	s.mu.Lock()
	var conns []*websocket.Conn
	for c := range s.channels {
		conns = append(conns, c.conn)
	}
	s.mu.Unlock()
	if len(conns) == 0 {
		s.t.Fatal("no channel is open")
	}
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	for _, c := range conns {
		if err := c.Write(ctx, websocket.MessageBinary, b); err != nil {
			s.t.Logf("send: %v", err)
		}
	}
}

// JobID is the id of a command's job to this server's instance.
func (s *Server) JobID(commandID string) string { return wire.JobID(commandID, s.InstanceID) }

// SendCommand offers a command.
func (s *Server) SendCommand(p wire.SendCommandPayload) (jobID string) {
	s.t.Helper()
	b, err := wire.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	jobID = s.JobID(p.CommandID)
	s.Send(wire.TypeAgentJob, wire.AgentJob{
		SchemaVersion: 1, JobID: jobID, Topic: wire.JobTopic(wire.TopicSendCommand, "us-east-1", s.InstanceID), Content: string(b),
	})
	return jobID
}

// Cancel asks for the end of a command.
func (s *Server) Cancel(commandID string) (jobID string) {
	s.t.Helper()
	b, err := wire.Marshal(wire.CancelPayload{CancelMessageID: s.JobID(commandID)})
	if err != nil {
		s.t.Fatal(err)
	}
	jobID = s.JobID(uuid.NewString())
	s.Send(wire.TypeAgentJob, wire.AgentJob{
		SchemaVersion: 1, JobID: jobID, Topic: wire.JobTopic(wire.TopicCancelCommand, "us-east-1", s.InstanceID), Content: string(b),
	})
	return jobID
}

// ServeHTTP dispatches like the service: channel, JSON calls, else S3.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	set := s.Settings
	s.mu.Unlock()
	w.Header().Set("Date", time.Now().Add(set.ClockOffset).UTC().Format(http.TimeFormat))
	if id, ok := wire.ParseControlChannelPath(r.URL.Path); ok {
		s.serveChannel(w, r, id, set)
		return
	}
	if op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), wire.TargetSSM); ok {
		s.serveCall(w, r, op, set)
		return
	}
	if op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), wire.TargetMessageDelivery); ok {
		s.servePolls(w, r, op, set)
		return
	}
	s.serveS3(w, r, set)
}

func refuse(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", wire.ContentType)
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(wire.ErrorBody{Type: code, Message: message})
}

// verify checks a signature by a role token or by Keys.
func (s *Server) verify(r *http.Request, hash, service string, set Settings) (code string, err error) {
	signed, err := sigv4.Parse(r)
	if err != nil {
		return "IncompleteSignatureException", err
	}
	if signed.Service != service || signed.Region != "us-east-1" {
		return "InvalidSignatureException", fmt.Errorf("scope %s", signed.Service)
	}
	s.mu.Lock()
	secret, token := s.secrets[signed.AccessKeyID], s.tokens[signed.AccessKeyID]
	s.mu.Unlock()
	if secret == "" {
		return "UnrecognizedClientException", errors.New("unknown key")
	}
	v := sigv4.Verifier{Now: func() time.Time { return time.Now().Add(set.ClockOffset) }}
	if err := v.Verify(r, signed, hash, secret, token); err != nil {
		return "InvalidSignatureException", err
	}
	return "", nil
}
