// Package linktest is the far end for tests of agents: a small service that
// speaks the agent's protocol for real, over HTTP and a websocket, and verifies
// every signature, but decides nothing by itself. A test sends jobs through it
// and waits for what the agent says. It is no part of a run.
package linktest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	uploads  map[string]map[int][]byte
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
	// S3Hash keeps digests of objects instead of their bytes.
	S3Hash bool
	// Parameters are the stored parameters; a SecureString's value is shown to
	// who asks for decryption.
	Parameters []wire.Parameter
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
		s3: map[string]*object{}, uploads: map[string]map[int][]byte{},
	}
	s.cond = sync.NewCond(&s.mu)
	s.addr = "127.0.0.1:0"
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// URL is the server's endpoint. It stays the same over Stop and Start.
func (s *Server) URL() string { return "http://" + s.addr }

// Start listens again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
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
	for i := from; ; i++ {
		for i >= len(s.events) {
			if late {
				var all []string
				for _, e := range s.events {
					all = append(all, e.Kind+" "+e.JobID+" "+e.Ack.StatusCode+e.Reply.DocumentStatus)
				}
				s.t.Fatalf("no %s within %v; events:\n%s", what, Deadline, strings.Join(all, "\n"))
			}
			s.cond.Wait()
		}
		if match(s.events[i]) {
			return s.events[i], i + 1
		}
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
	return e.Kind == wire.TypeAgentJobReply && e.Topic == wire.TopicSendCommand && e.Reply.DocumentStatus != wire.StatusInProgress &&
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

func (s *Server) serveCall(w http.ResponseWriter, r *http.Request, op string, set Settings) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, "SerializationException", err.Error())
		return
	}
	e := Event{Kind: op}
	defer func() { s.add(e) }()
	if set.Deny {
		e.Kind = "refused " + op
		refuse(w, "AccessDeniedException", "denied")
		return
	}
	var out any = struct{}{}
	var code string
	switch op {
	case wire.OpRegisterManagedInstance:
		out, code, err = s.register(r, body)
	case wire.OpRequestManagedInstanceRoleToken:
		out, code, err = s.roleToken(r, body, set)
	case wire.OpUpdateManagedInstancePublicKey:
		code, err = s.newKey(r, body, set)
		if err == nil && set.LoseKeyAnswer {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
			return
		}
	case wire.OpUpdateInstanceInformation:
		if code, err = s.verify(r, sigv4.PayloadHash(body), "ssm", set); err == nil {
			err = wire.Unmarshal(body, &e.Info)
		}
	case wire.OpGetParameters:
		if set.ParametersFail > 0 {
			s.Set(func(set *Settings) { set.ParametersFail-- })
			e.Kind = "failed " + op
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		out, code, err = s.parameters(r, body, set)
	default:
		code, err = "UnknownOperationException", errors.New(op)
	}
	if err != nil {
		e.Kind = "refused " + op
		refuse(w, code, err.Error())
		return
	}
	w.Header().Set("Content-Type", wire.ContentType)
	b, err := wire.Marshal(out)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(b)
}

func (s *Server) parameters(r *http.Request, body []byte, set Settings) (any, string, error) {
	if code, err := s.verify(r, sigv4.PayloadHash(body), "ssm", set); err != nil {
		return nil, code, err
	}
	var in wire.GetParametersRequest
	if err := wire.Unmarshal(body, &in); err != nil || len(in.Names) > 10 {
		return nil, "ValidationException", errors.Join(err, fmt.Errorf("%d names", len(in.Names)))
	}
	out := wire.GetParametersResponse{Parameters: []wire.Parameter{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		i := slices.IndexFunc(set.Parameters, func(p wire.Parameter) bool { return p.Name+p.Selector == name })
		if i < 0 {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		p := set.Parameters[i]
		if p.Type == "SecureString" && !in.WithDecryption {
			p.Value = "sealed"
		}
		out.Parameters = append(out.Parameters, p)
	}
	return out, "", nil
}

func (s *Server) register(r *http.Request, body []byte) (any, string, error) {
	var in wire.RegisterManagedInstanceRequest
	if err := wire.Unmarshal(body, &in); err != nil {
		return nil, "SerializationException", err
	}
	if r.Header.Get("Authorization") != "" {
		return nil, "ValidationException", errors.New("a registration is not signed")
	}
	if in.ActivationID != s.ActivationID || in.ActivationCode != s.ActivationCode {
		return nil, "InvalidActivation", errors.New("activation not found")
	}
	key, err := parseKey(in.PublicKey)
	if err != nil {
		return nil, "ValidationException", err
	}
	s.Know(in.Fingerprint, key)
	return wire.RegisterManagedInstanceResponse{InstanceID: s.InstanceID}, "", nil
}

func parseKey(text string) (*rsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != 2048 {
		return nil, errors.New("want RSA-2048")
	}
	return key, nil
}

// verifyRSA checks a signature by the registered key.
func (s *Server) verifyRSA(r *http.Request, body []byte, set Settings) error {
	signed, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	if signed.AccessKeyID != s.InstanceID || key == nil {
		return errors.New("unknown instance")
	}
	v := sigv4.Verifier{Now: func() time.Time { return time.Now().Add(set.ClockOffset) }}
	return v.VerifyRSA(r, signed, sigv4.PayloadHash(body), key)
}

func (s *Server) roleToken(r *http.Request, body []byte, set Settings) (any, string, error) {
	var in wire.RequestManagedInstanceRoleTokenRequest
	if err := wire.Unmarshal(body, &in); err != nil {
		return nil, "SerializationException", err
	}
	if err := s.verifyRSA(r, body, set); err != nil {
		return nil, "InvalidSignatureException", err
	}
	raw := make([]byte, 30)
	_, _ = rand.Read(raw)
	life := set.TokenLife
	if life == 0 {
		life = time.Hour
	}
	out := wire.RequestManagedInstanceRoleTokenResponse{
		AccessKeyID: "ASIA" + strings.ToUpper(hex.EncodeToString(raw[:8])), SecretAccessKey: hex.EncodeToString(raw[8:20]),
		SessionToken: hex.EncodeToString(raw[20:]), UpdateKeyPair: set.NewKeys,
		TokenExpirationDate: wire.Epoch{Time: time.Now().Add(set.ClockOffset + life)},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Fingerprint != s.print {
		return nil, "MachineFingerprintDoesNotMatch", errors.New("fingerprint")
	}
	s.secrets[out.AccessKeyID], s.tokens[out.AccessKeyID] = out.SecretAccessKey, out.SessionToken
	return out, "", nil
}

func (s *Server) newKey(r *http.Request, body []byte, set Settings) (string, error) {
	var in wire.UpdateManagedInstancePublicKeyRequest
	if err := wire.Unmarshal(body, &in); err != nil {
		return "SerializationException", err
	}
	if err := s.verifyRSA(r, body, set); err != nil {
		return "InvalidSignatureException", err
	}
	key, err := parseKey(in.NewPublicKey)
	if err != nil {
		return "ValidationException", err
	}
	s.mu.Lock()
	s.key, s.Settings.NewKeys = key, false
	s.mu.Unlock()
	return "", nil
}
